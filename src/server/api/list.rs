//! Lists come in pages: so many items, and where to go on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Items of an answer when nobody says how many.
const USUAL: usize = 100;

/// The most items of an answer.
pub const MOST: usize = 1000;

/// A part of a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// How many there are in all, on this page and others.
    pub total: usize,
    /// What to send as `continue` for the next page; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#continue: Option<String>,
}

/// Which part of a list is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Part {
    limit: Option<usize>,
    r#continue: Option<String>,
}

impl Part {
    /// The most items that are wanted.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(USUAL).clamp(1, MOST)
    }

    /// Takes the part out of a whole list, and makes items of it. Each element has a `key` of its own, by which the list goes on;
    /// when that element is gone, a list that is `sorted` by its keys goes on behind where it was, and others begin anew.
    pub fn take<T, U, E>(
        &self,
        all: &[T],
        sorted: bool,
        key: impl Fn(&T) -> String,
        item: impl FnMut(&T) -> Result<U, E>,
    ) -> Result<Page<U>, E> {
        let start = match &self.r#continue {
            None => 0,
            Some(last) if sorted => all.partition_point(|element| key(element) <= *last),
            Some(last) => all
                .iter()
                .position(|element| key(element) == *last)
                .map_or(0, |position| position + 1),
        };
        let end = all.len().min(start + self.limit());
        let items = all[start..end].iter().map(item).collect::<Result<_, E>>()?;
        Ok(Page {
            items,
            total: all.len(),
            r#continue: (end < all.len()).then(|| key(&all[end - 1])),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn page(part: &Part, all: &[&str]) -> Page<String> {
        let item = |name: &&str| Ok::<_, Infallible>((*name).to_owned());
        part.take(all, true, |name| (*name).to_owned(), item)
            .unwrap()
    }

    #[test]
    fn a_list_goes_on_where_it_stopped_even_when_that_item_is_gone() {
        let part = |last: Option<&str>| Part {
            limit: Some(2),
            r#continue: last.map(Into::into),
        };
        let first = page(&part(None), &["a", "b", "c", "d"]);
        assert_eq!((first.items.join(""), first.total), ("ab".into(), 4));
        assert_eq!(first.r#continue.as_deref(), Some("b"));
        let second = page(&part(Some("b")), &["a", "c", "d"]);
        assert_eq!(second.items.join(""), "cd");
        assert_eq!(second.r#continue, None);
    }

    #[test]
    fn no_answer_is_longer_than_the_limit() {
        let names: Vec<String> = (0..2000).map(|number| format!("{number:04}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let all = Part {
            limit: Some(usize::MAX),
            r#continue: None,
        };
        assert_eq!(page(&all, &names).items.len(), MOST);
        assert_eq!(page(&Part::default(), &names).items.len(), USUAL);
    }
}
