//! The table of Kafka APIs: what is routed, which versions are served, what ApiVersions tells.
//! A row is here only if the API is implemented; `handlers` has one file for each.

use kafka_protocol::messages::api_versions_response::ApiVersion;

macro_rules! apis {
    ($($key:ident = $code:literal, $min:literal..=$max:literal, flexible $flexible:expr;)*) => {
        /// An API that this broker serves.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i16)]
        pub enum ApiKey {
            $(#[doc = concat!("Key ", $code, ".")] $key = $code,)*
        }

        impl ApiKey {
            /// The API with this number, if it is served.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<ApiKey> {
                match code {
                    $($code => Some(ApiKey::$key),)*
                    _ => None,
                }
            }

            /// Its row in the table.
            #[must_use]
            pub const fn api(self) -> Api {
                match self {
                    $(ApiKey::$key => Api {
                        key: ApiKey::$key,
                        name: stringify!($key),
                        min: $min,
                        max: $max,
                        flexible_from: $flexible,
                    },)*
                }
            }
        }

        /// All APIs that are served, by number.
        pub const APIS: &[Api] = &[$(ApiKey::$key.api(),)*];
    };
}

/// No version of the API has the flexible encoding.
const NEVER: i16 = i16::MAX;

apis! {
    Produce = 0, 3..=13, flexible 9;
    Fetch = 1, 4..=18, flexible 12;
    ListOffsets = 2, 1..=10, flexible 6;
    Metadata = 3, 0..=13, flexible 9;
    OffsetCommit = 8, 2..=9, flexible 8;
    OffsetFetch = 9, 1..=9, flexible 6;
    FindCoordinator = 10, 0..=6, flexible 3;
    JoinGroup = 11, 0..=9, flexible 6;
    Heartbeat = 12, 0..=4, flexible 4;
    LeaveGroup = 13, 0..=5, flexible 4;
    SyncGroup = 14, 0..=5, flexible 4;
    DescribeGroups = 15, 0..=6, flexible 5;
    ListGroups = 16, 0..=5, flexible 3;
    ApiVersions = 18, 0..=4, flexible 3;
    CreateTopics = 19, 2..=7, flexible 5;
    DeleteTopics = 20, 1..=6, flexible 4;
    DeleteRecords = 21, 0..=2, flexible 2;
    InitProducerId = 22, 0..=5, flexible 2;
    OffsetForLeaderEpoch = 23, 2..=4, flexible 4;
    DescribeConfigs = 32, 1..=4, flexible 4;
    AlterConfigs = 33, 0..=2, flexible 2;
    DescribeLogDirs = 35, 1..=4, flexible 2;
    CreatePartitions = 37, 0..=3, flexible 2;
    DeleteGroups = 42, 0..=2, flexible 2;
    ElectLeaders = 43, 0..=2, flexible 2;
    IncrementalAlterConfigs = 44, 0..=1, flexible 1;
    OffsetDelete = 47, 0..=0, flexible NEVER;
    DescribeQuorum = 55, 0..=2, flexible 0;
    DescribeCluster = 60, 0..=2, flexible 0;
    DescribeTopicPartitions = 75, 0..=0, flexible 0;
}

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Api {
    /// The API.
    pub key: ApiKey,
    /// Its name, as in Kafka's documentation.
    pub name: &'static str,
    /// The oldest version that is served.
    pub min: i16,
    /// The newest version that is served.
    pub max: i16,
    /// From this version on, counts are varints and structures end with tagged fields.
    pub flexible_from: i16,
}

impl Api {
    /// The oldest version that ApiVersions tells of.
    ///
    /// Old librdkafka sends nothing compressed, or nothing at all, unless Produce is told of from
    /// 0 on; what it then really sends is version 3 or newer. Versions 0 to 2 are answered with
    /// `UNSUPPORTED_VERSION`.
    #[must_use]
    pub const fn advertised_min(&self) -> i16 {
        if matches!(self.key, ApiKey::Produce) { 0 } else { self.min }
    }

    /// Whether this version is served.
    #[must_use]
    pub const fn serves(&self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

impl ApiKey {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The API's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.api().name
    }

    /// Whether requests and responses of this version have the flexible encoding.
    #[must_use]
    pub const fn flexible(self, version: i16) -> bool {
        version >= self.api().flexible_from
    }

    /// Whether the header of a response has tagged fields. That of ApiVersions never has: a client
    /// reads it before it knows which versions the broker speaks.
    #[must_use]
    pub const fn tagged_response_header(self, version: i16) -> bool {
        self.flexible(version) && !matches!(self, ApiKey::ApiVersions)
    }
}

/// The table as ApiVersions tells it.
#[must_use]
pub fn advertised() -> Vec<ApiVersion> {
    APIS.iter()
        .map(|api| {
            ApiVersion::default()
                .with_api_key(api.key.code())
                .with_min_version(api.advertised_min())
                .with_max_version(api.max)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey as Theirs;

    use super::*;

    #[test]
    fn the_table_agrees_with_the_protocol() {
        for api in APIS {
            let theirs = Theirs::try_from(api.key.code()).unwrap();
            let range = theirs.valid_versions();
            assert_eq!(api.min, range.min, "{}", api.name);
            // Of a few APIs the protocol knows a version that no released client may use yet.
            assert!(api.max == range.max || api.max + 1 == range.max, "{}", api.name);
            assert_eq!(format!("{theirs:?}"), api.name);
            for version in api.min..=api.max {
                let flexible = theirs.request_header_version(version) == 2;
                assert_eq!(api.key.flexible(version), flexible, "{} v{version}", api.name);
                let tagged = theirs.response_header_version(version) == 1;
                assert_eq!(api.key.tagged_response_header(version), tagged, "{}", api.name);
            }
        }
    }

    #[test]
    fn rows_are_in_order_and_found_by_number() {
        assert!(APIS.is_sorted_by_key(|api| api.key));
        assert_eq!(APIS.len(), 30);
        for code in -1..100 {
            let row = APIS.iter().find(|api| api.key.code() == code);
            assert_eq!(ApiKey::from_code(code), row.map(|api| api.key));
        }
    }

    #[test]
    fn produce_is_told_of_from_0() {
        let told = advertised();
        let produce = told.iter().find(|api| api.api_key == 0).unwrap();
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
        assert!(!ApiKey::Produce.api().serves(2));
        let fetch = told.iter().find(|api| api.api_key == 1).unwrap();
        assert_eq!((fetch.min_version, fetch.max_version), (4, 18));
    }
}
