//! Layers of configuration: partial tables that are laid one over the other.
//!
//! `default.toml` has every key, so it says which keys exist and of which type each is; no second list is kept.

use std::path::Path;

use toml::{Table, Value};

use super::{Config, ConfigError, DEFAULT_TOML};

/// Tables whose keys are free, and whether their values are tables: names of audio files and of trunks.
const FREE_TABLES: [(&str, bool); 2] = [("audio.files", false), ("pivot.trunks", true)];

/// The one list that may be a string, which is then its only item.
const ONE_OR_MORE: &str = "audio.hold";

/// Variables of the same prefix that other commands read.
const OTHER_VARIABLES: [&str; 3] = ["PATCHCORD_SERVER", "PATCHCORD_TOKEN", "PATCHCORD_CONFIG"];

/// A partial configuration and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    place: String,
    table: Table,
}

impl Layer {
    /// `default.toml`.
    pub(crate) fn defaults() -> Self {
        let table = DEFAULT_TOML.parse().expect("default.toml is TOML: a test reads it");
        Self { place: "default.toml".to_owned(), table }
    }

    /// A file of the user's.
    pub(crate) fn file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|reason| ConfigError::Unreadable { file: path.to_owned(), reason })?;
        let place = path.display().to_string();
        match text.parse() {
            Ok(table) => Ok(Self { place, table }),
            Err(reason) => Err(ConfigError::NotToml { place, reason: reason.to_string() }),
        }
    }

    /// The variables `PATCHCORD_...` that are keys; see [`ignored_variables`] for the others.
    pub(crate) fn environment(variables: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let known = leaves(&Self::defaults().table, "");
        let mut layer = Self { place: "the environment".to_owned(), table: Table::new() };
        for (variable, text) in variables {
            let Some((key, default)) = known.iter().find(|(key, _)| variable_of(key) == variable) else { continue };
            let value = from_text(&text, default).ok_or_else(|| ConfigError::WrongType {
                place: layer.place.clone(),
                key: variable.clone(),
                wanted: wanted(default),
                found: format!("`{text}`"),
            })?;
            layer.put(key, value);
        }
        Ok(layer)
    }

    /// Nothing yet; to be filled by [`Layer::put`] and [`Layer::set`].
    pub(crate) fn flags() -> Self {
        Self { place: "the command line".to_owned(), table: Table::new() }
    }

    /// Sets a key by its dotted path.
    pub(crate) fn put(&mut self, key: &str, value: impl Into<Value>) {
        let mut table = &mut self.table;
        let mut path = key.split('.').peekable();
        while let Some(part) = path.next() {
            if path.peek().is_none() {
                table.insert(part.to_owned(), value.into());
                return;
            }
            let next = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = next else { return };
            table = inner;
        }
    }

    /// Sets a key from `KEY=VALUE`, the argument of `--set`.
    pub(crate) fn set(&mut self, assignment: &str) -> Result<(), ConfigError> {
        let Some((key, text)) = assignment.split_once('=') else {
            return Err(ConfigError::BadValue(format!("--set {assignment}: it is written --set KEY=VALUE")));
        };
        if let Some(name) = key.strip_prefix("audio.files.") {
            let files = self.table.entry("audio").or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(audio) = files
                && let Value::Table(names) = audio.entry("files").or_insert_with(|| Value::Table(Table::new()))
            {
                names.insert(name.to_owned(), Value::String(text.to_owned()));
            }
            return Ok(());
        }
        let known = leaves(&Self::defaults().table, "");
        let Some((_, default)) = known.iter().find(|(path, _)| path == key) else {
            return Err(ConfigError::UnknownKey {
                place: self.place.clone(),
                key: key.to_owned(),
                section: "default.toml".to_owned(),
                known: known.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>().join(", "),
            });
        };
        let value = from_text(text, default).ok_or_else(|| ConfigError::WrongType {
            place: self.place.clone(),
            key: key.to_owned(),
            wanted: wanted(default),
            found: format!("`{text}`"),
        })?;
        self.put(key, value);
        Ok(())
    }

    /// Lays `upper` over this one; a key that this one does not have, or of another type, is refused.
    pub(crate) fn overlay(&mut self, upper: Self) -> Result<(), ConfigError> {
        overlay(&mut self.table, upper.table, "", &upper.place)
    }

    /// All values in their own types.
    pub(crate) fn into_typed(self) -> Result<Config, ConfigError> {
        // The error of `toml` has several lines, the last of which names the key path: ` in `http.listen``.
        self.table.try_into().map_err(|error: toml::de::Error| {
            ConfigError::BadValue(error.to_string().trim_end().lines().collect::<Vec<_>>().join(" "))
        })
    }
}

/// Variables that look like keys and are none. They are told and not refused: a Kubernetes service named patchcord puts
/// variables of its own (`PATCHCORD_SERVICE_HOST`) into every pod's environment.
pub(crate) fn ignored_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let known = leaves(&Layer::defaults().table, "");
    let is_key = |name: &str| known.iter().any(|(key, _)| variable_of(key) == name);
    names
        .filter(|name| name.starts_with("PATCHCORD_") && !OTHER_VARIABLES.contains(&name.as_str()) && !is_key(name))
        .collect()
}

fn overlay(lower: &mut Table, upper: Table, path: &str, place: &str) -> Result<(), ConfigError> {
    for (name, value) in upper {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if let Some(&(_, has_tables)) = FREE_TABLES.iter().find(|(free, _)| *free == path) {
            let like = if has_tables { Value::Table(Table::new()) } else { Value::String(String::new()) };
            if !like.same_type(&value) {
                return Err(wrong_type(place, key, &like, &value));
            }
            lower.insert(name, value);
            continue;
        }
        let Some(present) = lower.get_mut(&name) else {
            return Err(ConfigError::UnknownKey {
                place: place.to_owned(),
                key,
                section: if path.is_empty() { "the top level".to_owned() } else { format!("[{path}]") },
                known: lower.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
            });
        };
        match (present, value) {
            (Value::Table(inner), Value::Table(value)) => overlay(inner, value, &key, place)?,
            (present, value) if present.same_type(&value) => *present = value,
            // It was a single file once.
            (present @ Value::Array(_), value @ Value::String(_)) if key == ONE_OR_MORE => {
                *present = Value::Array(vec![value]);
            }
            (present, value) => return Err(wrong_type(place, key, present, &value)),
        }
    }
    Ok(())
}

fn wrong_type(place: &str, key: String, wanted_like: &Value, found: &Value) -> ConfigError {
    ConfigError::WrongType {
        place: place.to_owned(),
        key,
        wanted: wanted(wanted_like),
        found: match found {
            Value::Table(_) => "a table".to_owned(),
            other => format!("`{other}`"),
        },
    }
}

/// What a value of this default's type is called.
const fn wanted(default: &Value) -> &'static str {
    match default {
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
        _ => "a string",
    }
}

/// Every key that is no table, by its dotted path, with its default.
fn leaves(table: &Table, path: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, value) in table {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Table(inner) => found.extend(leaves(inner, &key)),
            other => found.push((key, other.clone())),
        }
    }
    found
}

/// `workers.count` -> `PATCHCORD_WORKERS_COUNT`.
fn variable_of(key: &str) -> String {
    format!("PATCHCORD_{}", key.replace('.', "_").to_ascii_uppercase())
}

/// A flag's or a variable's text as a value of the default's type; lists are separated by commas.
fn from_text(text: &str, default: &Value) -> Option<Value> {
    match default {
        Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            // A list of CPUs has numbers, a list of interfaces has none that is only a number.
            Some(Value::Array(
                items
                    .map(|item| item.parse().map_or_else(|_| Value::String(item.to_owned()), Value::Integer))
                    .collect(),
            ))
        }
        _ => Some(Value::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str) -> Result<Config, ConfigError> {
        let mut merged = Layer::defaults();
        merged.overlay(Layer { place: "my.toml".to_owned(), table: text.parse().expect("TOML") })?;
        merged.into_typed()
    }

    #[test]
    fn unknown_keys_are_refused_by_name_and_place() {
        let text = with_file("[workers]\ncuont = 2").expect_err("unknown").to_string();
        assert!(text.contains("my.toml") && text.contains("`workers.cuont`") && text.contains("count"), "{text}");
        let text = with_file("worker = 2").expect_err("unknown").to_string();
        assert!(text.contains("`worker`") && text.contains("workers"), "{text}");
    }

    #[test]
    fn wrong_types_and_values_are_refused_by_name() {
        let text = with_file("[workers]\ncount = \"two\"").expect_err("type").to_string();
        assert!(text.contains("`workers.count` must be a whole number"), "{text}");
        let text = with_file("[workers]\nbackend = \"dpdk\"").expect_err("value").to_string();
        assert!(text.contains("dpdk") && text.contains("io-uring"), "{text}");
        let text = with_file("ports = \"1\"").expect_err("value").to_string();
        assert!(text.contains("ports `1`"), "{text}");
    }

    #[test]
    fn audio_files_have_free_names() {
        let config = with_file("[audio.files]\nwelcome = \"hello.wav\"").expect("a free name");
        assert_eq!(config.audio.files["welcome"].to_str(), Some("hello.wav"));
    }

    #[test]
    fn hold_audio_is_a_file_or_several() {
        for (text, files) in [("\"a.wav\"", &["a.wav"][..]), ("[\"a.wav\", \"b.opus\"]", &["a.wav", "b.opus"])] {
            let config = with_file(&format!("[audio]\nhold = {text}")).expect(text);
            assert_eq!(config.audio.hold, files);
        }
        let mut flags = Layer::flags();
        flags.set("audio.hold=a.wav,b.opus").expect("a key");
        let mut merged = Layer::defaults();
        merged.overlay(flags).expect("of the right type");
        assert_eq!(merged.into_typed().expect("valid").audio.hold, ["a.wav", "b.opus"]);
        let text = with_file("[audio]\nfetch_from = \"x\"").expect_err("no list").to_string();
        assert!(text.contains("`audio.fetch_from` must be a list"), "{text}");
    }

    #[test]
    fn variables_that_are_no_keys_are_found() {
        let names = ["PATCHCORD_SERVICE_HOST", "PATCHCORD_SERVER", "PATCHCORD_HTTP_LISTEN", "PATH"];
        assert_eq!(ignored_variables(names.map(str::to_owned).into_iter()), ["PATCHCORD_SERVICE_HOST"]);
    }

    #[test]
    fn every_key_has_its_variable_and_its_set_flag() {
        for (key, value) in leaves(&Layer::defaults().table, "") {
            let text = match &value {
                Value::String(text) => text.clone(),
                Value::Array(items) => {
                    items.iter().map(|i| i.as_str().unwrap_or("1").to_owned()).collect::<Vec<_>>().join(",")
                }
                other => other.to_string(),
            };
            let layer = Layer::environment([(variable_of(&key), text.clone())].into_iter()).expect("the variable");
            let mut merged = Layer::defaults();
            merged.overlay(layer).expect(&key);
            let mut flags = Layer::flags();
            flags.set(&format!("{key}={text}")).expect(&key);
            assert_eq!(merged.into_typed().expect(&key), with_file("").expect("defaults"), "{key}");
        }
    }
}
