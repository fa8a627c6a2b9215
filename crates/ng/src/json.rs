//! Messages as JSON. Texts must be Unicode there; numbers with a fraction lose it, truth values become 1 and 0, as in the
//! integers of bencode.

use serde_json::{Map, Number, Value as Json};

use crate::value::{Dict, Value};
use crate::{DEPTH_MAX, VALUES_MAX};

/// Decodes a dictionary.
///
/// # Errors
/// It is no JSON, no object, nested too deep, or has too many values; a sentence says which.
pub fn decode(bytes: &[u8]) -> Result<Dict, String> {
    let json: Json = serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}"))?;
    let mut values = 0;
    match convert(json, 0, &mut values)? {
        Some(Value::Dict(dict)) => Ok(dict),
        _ => Err("not a JSON object".to_owned()),
    }
}

/// Encodes a dictionary. Bytes that are no Unicode are replaced.
#[must_use]
pub fn encode(dict: &Dict) -> Vec<u8> {
    object(dict).to_string().into_bytes()
}

fn convert(json: Json, depth: usize, values: &mut usize) -> Result<Option<Value>, String> {
    *values += 1;
    if *values > VALUES_MAX {
        return Err(format!("more than {VALUES_MAX} values"));
    }
    if depth > DEPTH_MAX {
        return Err(format!("nested deeper than {DEPTH_MAX} levels"));
    }
    Ok(match json {
        Json::Null => None,
        Json::Bool(truth) => Some(Value::Integer(truth.into())),
        Json::Number(number) => Some(Value::Integer(integer(&number))),
        Json::String(text) => Some(Value::from(text)),
        Json::Array(list) => {
            let mut converted = Vec::with_capacity(list.len());
            for value in list {
                converted.extend(convert(value, depth + 1, values)?);
            }
            Some(Value::List(converted))
        }
        Json::Object(map) => {
            let mut dict = Dict::new();
            for (key, value) in map {
                if let Some(value) = convert(value, depth + 1, values)? {
                    dict.0.push((key.into_bytes(), value));
                }
            }
            Some(Value::Dict(dict))
        }
    })
}

fn integer(number: &Number) -> i64 {
    // A float beyond 64 bits ends at their edge.
    number.as_i64().unwrap_or_else(|| number.as_f64().map_or(i64::MAX, |float| float as i64))
}

fn object(dict: &Dict) -> Json {
    let entries = dict.0.iter().map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), json(value)));
    Json::Object(entries.collect::<Map<_, _>>())
}

fn json(value: &Value) -> Json {
    match value {
        Value::Bytes(bytes) => Json::String(String::from_utf8_lossy(bytes).into_owned()),
        Value::Integer(number) => Json::Number((*number).into()),
        Value::List(list) => Json::Array(list.iter().map(json).collect()),
        Value::Dict(dict) => object(dict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_become_dictionaries_and_back() {
        let text = br#"{"command":"offer","flags":["a",1,true,null],"n":-3.7,"d":{"x":null}}"#;
        let dict = decode(text).expect("it is JSON");
        assert_eq!(dict.get("n").and_then(Value::integer), Some(-3));
        assert_eq!(dict.list("flags").map(<[_]>::len), Some(3));
        assert_eq!(dict.dict("d"), Some(&Dict::new()));
        assert_eq!(decode(&encode(&dict)).as_ref().map(|dict| dict.0.len()), Ok(4));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let deep = ["{\"a\":".repeat(DEPTH_MAX + 1), "1".to_owned(), "}".repeat(DEPTH_MAX + 1)].concat();
        let wide = format!("{{\"a\":[{}0]}}", "0,".repeat(VALUES_MAX));
        for (text, part) in
            [("{", "not JSON"), ("{\"a\":1}x", "not JSON"), ("[]", "object"), (&deep, "deeper"), (&wide, "values")]
        {
            let error = decode(text.as_bytes()).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }
}
