//! `audio`: what can be played.

use std::path::Path;

use patchcord_codec::prompt::{Format, Raw};
use patchcord_control::api::{AudioList, AudioState};
use serde_json::json;

use super::api::encoded;
use super::args::AudioCommand;
use super::show;
use crate::failure::Failure;

/// Runs one of the commands.
pub(super) fn run(command: AudioCommand) -> Result<(), Failure> {
    match command {
        AudioCommand::List { to } => {
            let api = to.api();
            to.print(&api.get("/v1/audio")?, |answer| {
                let AudioList { audio } = api.typed(answer.clone())?;
                Ok(show::audio(&audio))
            })
        }
        AudioCommand::Put { file, name, fade_ms, to } => {
            let (content_type, bytes) = upload(&file)?;
            let name = name.or_else(|| stem(&file)).ok_or_else(|| Failure::Usage("give it a name by --name".into()))?;
            let query = fade_ms.map_or_else(String::new, |ms| format!("?fade_ms={ms}"));
            let api = to.api();
            let answer = api.put(&format!("{}{query}", path_of(&name)), content_type.as_deref(), &bytes)?;
            to.print(&answer, |answer| Ok(show::audio(&[api.typed::<AudioState>(answer.clone())?])))
        }
        AudioCommand::Delete { name, to } => {
            let api = to.api();
            let answer = api.delete(&path_of(&name))?;
            to.print(&answer, |answer| Ok(show::audio(&[api.typed::<AudioState>(answer.clone())?])))
        }
    }
}

fn path_of(name: &str) -> String {
    format!("/v1/audio/{}", encoded(name))
}

/// The content type and the body of an upload.
fn upload(file: &str) -> Result<(Option<String>, Vec<u8>), Failure> {
    if file.contains("://") {
        return Ok((Some("application/json".to_owned()), json!({ "url": file }).to_string().into_bytes()));
    }
    let mut bytes = std::fs::read(file).map_err(|error| Failure::failed(format!("cannot read {file}: {error}")))?;
    let mut format = Format::of_path(Path::new(file));
    // What is sent has one order of bytes.
    if let Some(Format::Raw(Raw::Linear { sample_rate, channels, big_endian: false })) = format {
        bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|sample| sample.reverse());
        format = Some(Format::Raw(Raw::Linear { sample_rate, channels, big_endian: true }));
    }
    Ok((format.and_then(Format::content_type), bytes))
}

/// `https://host/a/welcome.wav?x`: `welcome`.
fn stem(file: &str) -> Option<String> {
    let path = if file.contains("://") { file.split(['?', '#']).next().unwrap_or_default() } else { file };
    Path::new(path).file_stem().and_then(|stem| stem.to_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_urls_have_names() {
        for (file, name) in [
            ("a/welcome.wav", Some("welcome")),
            ("welcome", Some("welcome")),
            ("http://host/x/menu.opus?v=1#a", Some("menu")),
            ("..", None),
        ] {
            assert_eq!(stem(file).as_deref(), name, "{file}");
        }
    }

    #[test]
    fn a_url_is_sent_as_such_and_a_missing_file_is_named() {
        let (content_type, body) = upload("http://host/a.wav").expect("a URL");
        assert_eq!(
            (content_type.as_deref(), &body[..]),
            (Some("application/json"), &br#"{"url":"http://host/a.wav"}"#[..])
        );
        let Err(Failure::Failed(why)) = upload("/nonexistent/a.wav") else { panic!("there is no such file") };
        assert!(why.contains("/nonexistent/a.wav"), "{why}");
    }
}
