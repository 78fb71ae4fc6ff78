//! What was acknowledged of a config is what the broker that acknowledged it answers afterwards, and
//! a value that was overwritten never comes back.

use std::collections::BTreeMap;

use super::Violation;
use super::register::{Register, Via};

/// Values by topic and name.
#[derive(Debug, Default)]
pub(crate) struct ConfigsAnswered(BTreeMap<(String, String), Register<String>>);

impl ConfigsAnswered {
    /// A client is about to set a config.
    pub(crate) fn sent(&mut self, topic: &str, name: &str, value: &str, now: u64) {
        let key = (topic.to_owned(), name.to_owned());
        self.0.entry(key).or_default().write(value.to_owned(), now);
    }

    /// It was told that it is set.
    pub(crate) fn acked(&mut self, topic: &str, name: &str, value: &str, now: u64, via: Via) {
        if let Some(register) = self.0.get_mut(&(topic.to_owned(), name.to_owned())) {
            register.acked(&value.to_owned(), now, via);
        }
    }

    /// DescribeConfigs, asked at `sent`, showed this value; none if it is the default.
    pub(crate) fn described(
        &mut self,
        topic: &str,
        name: &str,
        seen: Option<&str>,
        sent: u64,
        via: Via,
    ) -> Result<(), Violation> {
        let register = self.0.entry((topic.to_owned(), name.to_owned())).or_default();
        let seen = seen.map(str::to_owned);
        register.may_show(seen.as_ref(), sent, Some(via)).or_else(|what| {
            let what = format!("{name} of {topic} at {:?}: {what}", via.broker);
            Violation::new("acknowledged configs are answered", what)
        })
    }
}
