//! The certificates of a cluster, as its Secrets and its brokers show them.

use std::sync::Arc;

use anyhow::{Context, Result};
use chronik_tls::material::{AUTHORITIES, CERTIFICATE, KEY, Material};
use serde_json::Value;

use crate::kube::kubectl::{Kubectl, text};

/// The operator's certificate: who holds it gives orders to brokers.
pub fn operator(kubectl: &Kubectl, cluster: &str) -> Result<Option<Arc<Material>>> {
    let Some(secret) = kubectl.find("secret", &format!("{cluster}-operator-tls"))? else {
        return Ok(None);
    };
    let part = |key| decoded(&secret, key);
    let material = Material::from_pem(&part(CERTIFICATE)?, &part(KEY)?, &part(AUTHORITIES)?);
    Ok(Some(Arc::new(material?)))
}

/// The bytes under a key of a Secret.
pub fn decoded(secret: &Value, key: &str) -> Result<Vec<u8>> {
    let encoded = text(secret, &format!("/data/{}", key.replace('/', "~1")));
    base64(encoded).with_context(|| format!("{key} of the Secret is not base64"))
}

/// Kubernetes writes the standard alphabet, with padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0u8);
    for byte in text.trim_end_matches('=').bytes() {
        bits = bits << 6 | u32::from(digit(byte)?);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_secret_holds_is_decoded() {
        let secret =
            json!({"data": {"a": "", "b": "Zg==", "c": "Zm9vYg==", "d": "//79", "e": "?"}});
        for (key, expected) in
            [("a", &b""[..]), ("b", b"f"), ("c", b"foob"), ("d", b"\xff\xfe\xfd")]
        {
            assert_eq!(decoded(&secret, key).unwrap(), expected);
        }
        assert!(decoded(&secret, "e").is_err());
    }
}
