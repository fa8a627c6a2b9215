//! What each party of a transfer's call heard, and when.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use patchcord_control::ApiError;
use serde::Serialize;
use utoipa::ToSchema;

use super::{key, unknown};
use crate::driver::{Heard, Kept, Pivot, What};

/// What the parties of a call heard.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimelineView {
    /// When that began, milliseconds since 1970.
    began_ms: u64,
    /// How long it lasted, or has lasted so far.
    lasted_ms: u64,
    /// In the order in which they came.
    parties: Vec<LaneView>,
}

/// What one party heard.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LaneView {
    /// Who.
    #[schema(value_type = String)]
    party: Arc<str>,
    /// One after the other.
    heard: Vec<PieceView>,
}

/// What a party heard for a while.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PieceView {
    /// Milliseconds since `began_ms`.
    from_ms: u64,
    /// Null: it goes on.
    to_ms: Option<u64>,
    /// `party`, `early-media`, `conference`, `ringing-tone`, `hold`, `silence`.
    kind: &'static str,
    /// The same for people, with the names of parties.
    what: String,
}

/// Shows what each party of a transfer's call heard: as it was commanded; the receipts prove when it was so.
#[utoipa::path(
    get, path = "/v1/transfers/{transfer}/timeline", tag = "transfers", params(("transfer" = String, Path, description = "Its name")),
    responses((status = 200, body = TimelineView), (status = 404, description = "unknown-transfer")), security((), ("token" = []))
)]
pub(super) async fn timeline(
    State(pivot): State<Arc<Pivot>>,
    Path(name): Path<String>,
) -> Result<Json<TimelineView>, ApiError> {
    let kept = pivot.book().get(key(&pivot, &name)?.call).ok_or_else(|| unknown(&name))?;
    Ok(Json(timeline_of(&kept, pivot.age())))
}

/// The same for whoever has the call already; `now` is since the pivot was started.
pub(super) fn timeline_of(kept: &Kept, now: Duration) -> TimelineView {
    let began = kept.heard.first().map_or(now, |heard| heard.since);
    let ms = |at: Duration| u64::try_from(at.saturating_sub(began).as_millis()).unwrap_or(u64::MAX);
    let ended = kept.call.as_ref().and_then(|call| call.ended);
    let mut names = Vec::new();
    let mut lanes: BTreeMap<Arc<str>, Vec<PieceView>> = BTreeMap::new();
    for Heard { party, since, what } in &kept.heard {
        let pieces = lanes.entry(Arc::clone(party)).or_insert_with(|| {
            names.push(Arc::clone(party));
            Vec::new()
        });
        if let Some(piece) = pieces.last_mut().filter(|piece| piece.to_ms.is_none()) {
            piece.to_ms = Some(ms(*since));
        }
        if let Some((kind, what)) = told(what) {
            pieces.push(PieceView { from_ms: ms(*since), to_ms: None, kind, what });
        }
    }
    for piece in lanes.values_mut().filter_map(|pieces| pieces.last_mut()) {
        piece.to_ms = piece.to_ms.or(ended.map(ms));
    }
    let parties = names.into_iter().map(|party| LaneView { heard: lanes.remove(&party).unwrap_or_default(), party });
    TimelineView { began_ms: kept.at(began), lasted_ms: ms(ended.unwrap_or(now)), parties: parties.collect() }
}

/// Its kind, and what people call it; nothing for a party that is gone.
fn told(what: &What) -> Option<(&'static str, String)> {
    Some(match what {
        What::Party(name) => ("party", name.to_string()),
        What::EarlyMedia(name) => ("early-media", format!("early media of {name}")),
        What::Conference(names) => ("conference", names.join(" + ")),
        What::RingingTone => ("ringing-tone", "a ringing tone".to_owned()),
        What::Hold => ("hold", "hold audio".to_owned()),
        What::Silence => ("silence", "nobody".to_owned()),
        What::Gone => return None,
    })
}
