//! What a handshake is for: SRTP's master keys and salts (RFC 5764 4.2).

use patchcord_srtp::MasterKey;
use zeroize::Zeroizing;

use crate::{HandshakeError, Role, SrtpProfile};

/// The master keys of both directions, with their salts. Overwritten when dropped, and never shown.
#[derive(Debug)]
pub struct KeyingMaterial {
    /// The profile that was negotiated.
    pub profile: SrtpProfile,
    /// Of what this side sends.
    pub local: MasterKey,
    /// Of what the other side sends.
    pub remote: MasterKey,
}

impl KeyingMaterial {
    /// Of what was exported with the label `EXTRACTOR-dtls_srtp`: `client_key server_key client_salt server_salt`.
    pub(crate) fn new(profile: SrtpProfile, role: Role, exported: &[u8]) -> Result<Self, HandshakeError> {
        let (key_len, salt_len) = (profile.key_len(), profile.salt_len());
        if exported.len() != profile.material_len() {
            let (need, len) = (profile.material_len(), exported.len());
            return Err(HandshakeError::protocol(&format!("{need} bytes are needed for keys, and there are {len}")));
        }
        let (keys, salts) = exported.split_at(2 * key_len);
        let (client_key, server_key) = keys.split_at(key_len);
        let (client_salt, server_salt) = salts.split_at(salt_len);
        let client = master_key(profile, client_key, client_salt)?;
        let server = master_key(profile, server_key, server_salt)?;
        let (local, remote) = match role {
            Role::Client => (client, server),
            Role::Server => (server, client),
        };
        Ok(Self { profile, local, remote })
    }
}

fn master_key(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<MasterKey, HandshakeError> {
    let both = Zeroizing::new([key, salt].concat());
    MasterKey::new(profile.suite(), &both).map_err(|error| HandshakeError::protocol(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn material(profile: SrtpProfile, role: Role, exported: &[u8]) -> KeyingMaterial {
        KeyingMaterial::new(profile, role, exported).expect("the length is right")
    }

    #[test]
    fn each_side_sends_with_what_the_other_receives_with() {
        for profile in SrtpProfile::ALL {
            let exported: Vec<u8> = (0..).take(profile.material_len()).collect();
            let client = material(profile, Role::Client, &exported);
            let server = material(profile, Role::Server, &exported);
            assert_eq!((&client.local, &client.remote), (&server.remote, &server.local));
            let (client_key, client_salt) = client.local.key_and_salt().split_at(profile.key_len());
            let (server_key, server_salt) = server.local.key_and_salt().split_at(profile.key_len());
            assert_eq!([client_key, server_key, client_salt, server_salt].concat(), exported);
        }
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let shown = format!("{:?}", material(SrtpProfile::AeadAes128Gcm, Role::Client, &[0x5a; 56]));
        assert!(!shown.contains("90") && !shown.to_lowercase().contains("5a"), "{shown}");
    }

    #[test]
    fn material_of_another_length_is_refused() {
        assert!(KeyingMaterial::new(SrtpProfile::AeadAes128Gcm, Role::Client, &[0; 60]).is_err());
    }
}
