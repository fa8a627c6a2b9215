//! Uploads: audio that comes by the API, as bytes or as a URL.

use std::sync::Arc;

use patchcord_codec::prompt::Format;

use super::{FADE_MS_MAX, Sound, fetch};
use crate::api::{AudioList, AudioSource, AudioState};
use crate::control::Control;
use crate::error::{ApiError, ErrorCode};

/// How many uploads are worked on at once: each takes a CPU, and memory for its samples.
pub(super) const AT_ONCE: usize = 2;

/// What is uploaded.
#[derive(Debug)]
pub(crate) enum Upload {
    /// Its bytes, and the format that they are said to be in.
    Bytes(Vec<u8>, Option<Format>),
    /// Where they are to be had.
    Url(String),
}

impl Control {
    /// All audio that can be played.
    #[must_use]
    pub fn audio(&self) -> AudioList {
        AudioList { audio: self.0.env.library.list() }
    }

    /// Takes audio under a name, in the place of an upload of the same name; whether it is new. What takes time is done on threads of its
    /// own, once `upload` is there.
    ///
    /// # Errors
    /// The name cannot be used, there is no room, or what is uploaded is nothing that can be played.
    pub(crate) async fn upload(
        &self,
        name: &str,
        fade_ms: u16,
        upload: impl Future<Output = Result<Upload, ApiError>>,
    ) -> Result<(AudioState, bool), ApiError> {
        if fade_ms > FADE_MS_MAX {
            let message = format!("`fade_ms` is {fade_ms}: it is 0 to {FADE_MS_MAX}");
            return Err(ApiError::new(ErrorCode::BadRequest, message));
        }
        let library = &self.0.env.library;
        library.check(name)?;
        let stopping = || ApiError::new(ErrorCode::WorkerUnavailable, "the server is stopping");
        let permit = Arc::clone(&library.uploading).acquire_owned().await.map_err(|_| stopping())?;
        let upload = upload.await?;
        let (called, places) = (name.to_owned(), Arc::clone(&library.places));
        let work = move || {
            // It is over when the work is, even if nobody waits for that any more.
            let _permit = permit;
            let (bytes, format, source) = match upload {
                Upload::Bytes(bytes, format) => (bytes, format, AudioSource::Upload),
                Upload::Url(url) => {
                    let fetched = fetch::fetch(&url, &places)?;
                    (fetched.bytes, fetched.format, AudioSource::Url)
                }
            };
            let sound = Sound::from_bytes(&called, &bytes, format, fade_ms);
            let bad = |why| ApiError::new(ErrorCode::BadAudio, format!("audio {called} cannot be used: {why}"));
            sound.map(|sound| (sound, source)).map_err(bad)
        };
        let (sound, source) = self.0.runtime.spawn_blocking(work).await.map_err(|_| stopping())??;
        let put = library.put(name, sound, source)?;
        tracing::info!(name, duration_ms = put.0.duration_ms, bytes = put.0.bytes, "audio uploaded");
        Ok(put)
    }

    /// Takes an upload out of the library. Calls that play it go on with it.
    ///
    /// # Errors
    /// There is none of this name.
    pub(crate) fn delete_audio(&self, name: &str) -> Result<AudioState, ApiError> {
        self.0.env.library.delete(name)
    }
}
