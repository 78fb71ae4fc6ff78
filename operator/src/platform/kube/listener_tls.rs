//! The Secret with the certificate for Kafka clients, which somebody else keeps. No broker is started
//! or restarted to use one that does not work.

use chronik_plan::Refusal;
use chronik_tls::material::{CERTIFICATE, KEY, open_to_all};
use k8s_openapi::api::core::v1::Secret;

use super::Kube;
use super::error::KubeError;

const FIELD: &str = "spec.listeners.kafka.tls.secretName";

/// Why a broker could not serve clients with it; none if it could.
#[must_use]
pub fn wrong(name: &str, secret: Option<&Secret>) -> Option<Refusal> {
    let refusal = |reason: String| Refusal { field: FIELD.into(), value: name.to_owned(), reason };
    let Some(secret) = secret else { return Some(refusal("there is no such Secret".into())) };
    let bytes = |key: &str| secret.data.as_ref().and_then(|data| data.get(key));
    let (Some(chain), Some(key)) = (bytes(CERTIFICATE), bytes(KEY)) else {
        return Some(refusal(format!("the Secret has no {CERTIFICATE}, or no {KEY}")));
    };
    open_to_all(&chain.0, &key.0).err().map(|error| refusal(error.to_string()))
}

impl Kube {
    /// Looks at the Secret, if the manifest names one.
    pub(super) async fn look_at_listener_tls(&mut self) -> Result<(), KubeError> {
        self.listener_tls_wrong = match &self.inputs.kafka_tls {
            None => None,
            Some(name) => wrong(name, self.objects.get::<Secret>(name).await?.as_ref()),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chronik_tls::issue::{self, Validity};
    use k8s_openapi::ByteString;

    use super::*;

    fn secret(entries: &[(&str, &str)]) -> Secret {
        let entry =
            |(key, text): &(&str, &str)| ((*key).to_owned(), ByteString(text.as_bytes().to_vec()));
        Secret { data: Some(entries.iter().map(entry).collect()), ..Secret::default() }
    }

    #[test]
    fn a_secret_that_serves_nobody_is_refused_by_name() {
        let validity = Validity { not_before: 1_000_000_000, not_after: 4_102_444_800 };
        let [one, other] = [(); 2].map(|()| issue::server("kafka.example", validity).unwrap());
        let check = |secret: Option<Secret>, expected: Option<&str>| {
            let found = wrong("web", secret.as_ref()).map(|refusal| refusal.to_string());
            let expected = expected.map(|reason| format!("{FIELD} web: {reason}"));
            assert!(found.as_deref().unwrap_or("").starts_with(expected.as_deref().unwrap_or("")));
            assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
        };
        check(None, Some("there is no such Secret"));
        check(Some(secret(&[])), Some("the Secret has no tls.crt, or no tls.key"));
        let mixed = secret(&[(CERTIFICATE, &one.certificate), (KEY, &other.key)]);
        check(Some(mixed), Some("tls.key is no key of tls.crt"));
        check(Some(secret(&[(CERTIFICATE, "x"), (KEY, &one.key)])), Some("tls.crt has no"));
        check(Some(secret(&[(CERTIFICATE, &one.certificate), (KEY, &one.key)])), None);
    }
}
