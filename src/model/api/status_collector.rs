//! StatusCollector: which facts of many WECs become one table (`control.kubestellar.io/v1alpha1`). Read only.

use serde::Deserialize;

use super::metadata::Metadata;
use super::read::{ApiObject, ReadError};

/// A query over what the WECs report of an object; expressions are CEL, as written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StatusCollector {
    /// Name, labels, annotations.
    pub metadata: Metadata,
    /// The query.
    pub spec: StatusCollectorSpec,
}

/// The query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusCollectorSpec {
    /// Which reports count; none: all.
    pub filter: Option<String>,
    /// What reports are grouped by.
    #[serde(default)]
    pub group_by: Vec<NamedExpression>,
    /// What is computed over each group.
    #[serde(default)]
    pub combined_fields: Vec<CombinedField>,
    /// What is shown of each report; excludes grouping.
    #[serde(default)]
    pub select: Vec<NamedExpression>,
    /// The most rows.
    pub limit: i64,
}

/// An expression and the column it fills.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedExpression {
    /// The column.
    pub name: String,
    /// The expression.
    pub def: String,
}

/// One value computed over a group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CombinedField {
    /// The column.
    pub name: String,
    /// How values become one.
    #[serde(rename = "type")]
    pub function: Aggregation,
    /// The expression that gives each value; none for a count.
    pub subject: Option<String>,
}

/// How values become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Aggregation {
    /// How many.
    Count,
    /// Their sum.
    Sum,
    /// Their mean.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl ApiObject for StatusCollector {
    const GROUP: &'static str = "control.kubestellar.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "StatusCollector";

    /// KubeStellar's controller asks for the same before it takes a collector.
    fn check(&self) -> Result<(), ReadError> {
        self.spec.check().map_err(|error| error.under_key("spec"))
    }
}

impl StatusCollectorSpec {
    fn check(&self) -> Result<(), ReadError> {
        let wrong = |message| Err(ReadError::new("InvalidValue", message));
        let grouped = !self.group_by.is_empty() || !self.combined_fields.is_empty();
        if grouped && !self.select.is_empty() {
            return wrong("`select` excludes `groupBy` and `combinedFields`");
        }
        if !self.group_by.is_empty() && self.combined_fields.is_empty() {
            return wrong("`groupBy` needs `combinedFields`");
        }
        for (index, field) in self.combined_fields.iter().enumerate() {
            let message = match (field.function, &field.subject) {
                (Aggregation::Count, Some(_)) => "COUNT takes no `subject`",
                (Aggregation::Count, None) | (_, Some(_)) => continue,
                (_, None) => "`subject` is missing: only COUNT does without",
            };
            return Err(ReadError::new("InvalidValue", message)
                .under_index(index)
                .under_key("combinedFields"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::read::read;
    use super::*;

    fn collector(spec: &Value) -> Result<StatusCollector, ReadError> {
        read(&json!({
            "apiVersion": "control.kubestellar.io/v1alpha1",
            "kind": "StatusCollector",
            "metadata": {"name": "count"},
            "spec": spec,
        }))
    }

    #[test]
    fn a_count_by_group_is_read() {
        let collector = collector(&json!({
            "limit": 20,
            "groupBy": [{"name": "phase", "def": "returned.status.phase"}],
            "combinedFields": [{"name": "pods", "type": "COUNT"}],
        }))
        .unwrap();
        assert_eq!(
            collector.spec.combined_fields[0].function,
            Aggregation::Count
        );
    }

    #[test]
    fn contradictions_are_found_where_they_stand() {
        let path = |spec| collector(&spec).unwrap_err().to_string();
        assert_eq!(
            path(json!({"limit": 1, "combinedFields": [{"name": "a", "type": "SUM"}]})),
            "spec.combinedFields[0]: `subject` is missing: only COUNT does without"
        );
        assert_eq!(
            path(json!({"limit": 1, "groupBy": [{"name": "a", "def": "b"}]})),
            "spec: `groupBy` needs `combinedFields`"
        );
        assert_eq!(
            path(json!({"limit": 1, "combinedFields": [{"name": "a", "type": "MEDIAN"}]})),
            "spec.combinedFields[0].type: expected one of `COUNT`, `SUM`, `AVG`, `MIN`, `MAX`"
        );
    }
}
