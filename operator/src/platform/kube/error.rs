//! What can go wrong between the operator and Kubernetes. What kind it is decides when the next try
//! is, and is counted.

use std::time::Duration;

/// Why something could not be done on Kubernetes.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum KubeError {
    #[error("could not {what}")]
    Api { what: String, source: Box<kube::Error> },
    #[error("the API server did not answer within {} s when asked to {what}", .after.as_secs())]
    Silent { what: String, after: Duration },
    #[error("{what} was changed meanwhile; the next pass looks again")]
    Changed { what: String },
    #[error("{what} is there already, and not as one of this cluster's; rename or delete it")]
    Taken { what: String },
    #[error("a certificate could not be made")]
    Issue(#[source] chronik_tls::issue::IssueError),
    #[error("this operator does not lead any more, and changes nothing")]
    NotLeading,
    #[error("{0} is not a step of the platform")]
    NotMine(String),
    #[error("{what} could not be written as JSON")]
    Json { what: String, source: serde_json::Error },
    #[error("the pass took longer than {} s", .0.as_secs())]
    PassTooLong(Duration),
}

impl KubeError {
    /// Its kind, for counting.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            KubeError::Api { source, .. } => match status_code(source) {
                Some(403) => "forbidden",
                Some(400..=499) => "refused",
                Some(_) => "server",
                None => "unreachable",
            },
            KubeError::Silent { .. } => "silent",
            KubeError::Changed { .. } => "changed",
            KubeError::NotLeading => "not_leading",
            KubeError::Taken { .. } => "taken",
            KubeError::NotMine(_) | KubeError::Json { .. } | KubeError::Issue(_) => "internal",
            KubeError::PassTooLong(_) => "pass_too_long",
        }
    }

    /// When to try again.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        Duration::from_secs(match self.kind() {
            "changed" => 1,
            // Nothing that a quick second try would change.
            "forbidden" | "refused" | "taken" | "internal" => 15,
            _ => 5,
        })
    }
}

/// The HTTP status that the API server answered with, if it did.
#[must_use]
pub fn status_code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
