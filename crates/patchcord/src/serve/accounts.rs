//! A trunk's accounts in the words of the pivot: the one that it registers under, and those of its callers.

use patchcord_pivot::driver::Users;
use patchcord_pivot::message::Credentials;
use patchcord_pivot::sip::Registration;

use crate::config::pivot::Trunk;

/// How the pivot registers there, if it is to.
pub(super) fn registration(config: &Trunk, credentials: Option<Credentials>) -> Option<Registration> {
    if !config.register {
        return None;
    }
    let (user, aor) = match config.username.split_once('@') {
        Some((user, _)) => (user, format!("sip:{}", config.username)),
        None => (config.username.as_str(), format!("sip:{}@{}", config.username, config.domain)),
    };
    // It is sent to the URI with its parameters, and is about the host (RFC 3261 10.2).
    let (registrar, proxy) = match config.registrar.as_str() {
        "" => (format!("sip:{}", config.domain), config.proxy.as_str()),
        registrar => (registrar.split([';', '?']).next().unwrap_or(registrar).to_owned(), registrar),
    };
    Some(Registration {
        registrar: registrar.into(),
        proxy: (!proxy.is_empty()).then(|| proxy.into()),
        aor: aor.into(),
        contact_user: user.into(),
        credentials,
        expires_s: config.register_expires_s,
    })
}

/// Who is challenged; nobody, if none.
pub(super) fn users(config: &Trunk) -> Option<Users> {
    let users = config.users.iter().map(|(user, password)| (user.as_str().into(), password.as_str().into()));
    config.challenge.then(|| Users(users.collect()))
}
