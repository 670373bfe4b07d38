//! The settings that change what is rendered, as a lock holds them. Pure.

use super::request::Settings;
use crate::model::api::pipeline::{Hydrate, SecretsRule};
use crate::output::branch::lock::LockedOptions;

/// Gives the settings that change what is rendered, for the lock: all but the default ones.
pub(super) fn locked(settings: &Settings) -> serde_json::Map<String, serde_json::Value> {
    let mut locked = serde_json::Map::new();
    let mut put = |name: &str, value: serde_json::Result<serde_json::Value>, default: bool| {
        if let (Ok(value), false) = (value, default) {
            locked.insert(name.to_owned(), value);
        }
    };
    let to = serde_json::to_value::<&[Hydrate]>;
    put(
        "hydrate",
        to(&settings.hydrate),
        settings.hydrate.is_empty(),
    );
    put(
        "kinds",
        serde_json::to_value(&settings.kinds),
        settings.kinds.is_empty(),
    );
    let guard = &settings.guard;
    let plain = guard.secrets == SecretsRule::Refuse;
    put("secrets", serde_json::to_value(guard.secrets), plain);
    put(
        "allowedSecrets",
        serde_json::to_value(&guard.allowed_secrets),
        guard.allowed_secrets.is_empty(),
    );
    locked
}

/// Reads the settings of a lock.
pub(super) fn read(options: &LockedOptions) -> Result<Settings, serde_json::Error> {
    let get = |name: &str| options.settings.get(name).cloned();
    let mut settings = Settings {
        paths: options.paths.clone(),
        ..Settings::default()
    };
    if let Some(value) = get("hydrate") {
        settings.hydrate = serde_json::from_value(value)?;
    }
    if let Some(value) = get("kinds") {
        settings.kinds = serde_json::from_value(value)?;
    }
    if let Some(value) = get("secrets") {
        settings.guard.secrets = serde_json::from_value(value)?;
    }
    if let Some(value) = get("allowedSecrets") {
        settings.guard.allowed_secrets = serde_json::from_value(value)?;
    }
    Ok(settings)
}
