//! From what was typed to what is meant. All checks are here, once; nothing later sees raw text.

use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::time::Duration;

use chronik_core::ids::BrokerId;

use super::args::Args;
use super::{Config, Endpoint, StorageLimits};
use crate::net;

/// A flag that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {value:?}: {reason}")]
pub struct ConfigError {
    /// The flag.
    pub field: &'static str,
    /// What was typed.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Checks everything that can be checked without touching the disk or a port.
pub fn resolve(args: Args) -> Result<Config, ConfigError> {
    let broker = broker_id("--broker-id", args.broker_id)?;
    let seeds = args
        .seed_brokers
        .iter()
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
        .map(seed)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Config {
        broker,
        data_dir: args.data_dir,
        kafka: endpoint(
            ("--kafka-listen", args.kafka_listen),
            ("--kafka-advertised", args.kafka_advertised),
        )?,
        kafka_external: args
            .kafka_external_listen
            .filter(|text| !text.is_empty())
            .map(|text| listen("--kafka-external-listen", &text))
            .transpose()?,
        kafka_tls_dir: args.kafka_tls_dir.filter(|dir| !dir.as_os_str().is_empty()),
        peer: endpoint(
            ("--peer-listen", args.peer_listen),
            ("--peer-advertised", args.peer_advertised),
        )?,
        tls_dir: args.tls_dir.filter(|dir| !dir.as_os_str().is_empty()),
        http: args.http_listen.map(|text| listen("--http-listen", &text)).transpose()?,
        rack: args.rack.filter(|rack| !rack.is_empty()),
        seeds: seeds.into_iter().filter(|(id, _)| *id != broker).collect(),
        log_format: args.log_format,
        clients: net::listener::Limits {
            connections_max: bounded("--connections-max", args.connections_max as u64, 1..=1 << 20)?
                as usize,
            request_bytes_max: bounded(
                "--request-bytes-max",
                args.request_bytes_max as u64,
                1 << 10..=1 << 30,
            )? as usize,
            idle: Duration::from_millis(bounded(
                "--connections-max-idle-ms",
                args.connections_max_idle_ms,
                1_000..=7 * 24 * 3_600_000,
            )?),
            ..net::listener::Limits::default()
        },
        storage: StorageLimits {
            segment_bytes: bounded("--segment-bytes", args.segment_bytes, 64 << 10..=1 << 40)?,
            // A batch of the largest size has to fit a file, with room to spare.
            wal_file_bytes: bounded("--wal-bytes", args.wal_bytes, 4 << 20..=4 << 30)?,
            cache_bytes: bounded("--cache-bytes", args.cache_bytes, 0..=1 << 40)?,
            free_bytes_min: bounded("--free-bytes-min", args.free_bytes_min, 0..=1 << 50)?,
            retention_check: Duration::from_millis(bounded(
                "--retention-check-ms",
                args.retention_check_ms,
                100..=7 * 24 * 3_600_000,
            )?),
        },
    })
}

fn error(
    field: &'static str,
    value: impl std::fmt::Display,
    reason: impl Into<String>,
) -> ConfigError {
    ConfigError { field, value: value.to_string(), reason: reason.into() }
}

fn bounded(
    field: &'static str,
    value: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, ConfigError> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(error(field, value, format!("must be from {} to {}", range.start(), range.end())))
}

fn broker_id(field: &'static str, id: u32) -> Result<BrokerId, ConfigError> {
    let id = BrokerId(id);
    if id > BrokerId::MAX {
        return Err(error(field, id, format!("must be at most {}", BrokerId::MAX)));
    }
    Ok(id)
}

/// Where to listen: an address, or a name that has one.
fn listen(field: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    let mut found = text
        .to_socket_addrs()
        .map_err(|e| error(field, text, format!("is no HOST:PORT to listen on ({e})")))?;
    found.next().ok_or_else(|| error(field, text, "has no address"))
}

fn endpoint(
    (listen_field, text): (&'static str, String),
    (advertised_field, advertised): (&'static str, Option<String>),
) -> Result<Endpoint, ConfigError> {
    let listen = listen(listen_field, &text)?;
    let advertised = advertised.filter(|text| !text.is_empty());
    if let Some(text) = &advertised {
        host_port(advertised_field, text)?;
    } else if listen.ip().is_unspecified() {
        let reason = format!(
            "listens on every address, so say with {advertised_field} HOST:PORT which one to tell others"
        );
        return Err(error(listen_field, text, reason));
    }
    Ok(Endpoint { listen, advertised })
}

/// Only the form: whether the name resolves is the business of those who are told it.
fn host_port(field: &'static str, text: &str) -> Result<(), ConfigError> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(error(field, text, "must be HOST:PORT"));
    };
    if host.is_empty() || host.contains(['/', ' ', '@']) {
        return Err(error(field, text, format!("{host:?} is no host name")));
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(()),
        Ok(_) | Err(_) => Err(error(field, text, format!("{port:?} is no port"))),
    }
}

fn seed(text: &str) -> Result<(BrokerId, String), ConfigError> {
    let field = "--seed-broker";
    let Some((id, address)) = text.split_once('=') else {
        return Err(error(field, text, "must be ID=HOST:PORT"));
    };
    let Ok(id) = id.parse() else {
        return Err(error(field, text, format!("{id:?} is no broker id")));
    };
    host_port(field, address)?;
    Ok((broker_id(field, id)?, address.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn check(flags: &[&str]) -> Result<Config, ConfigError> {
        let typed = ["chronik-broker", "--broker-id", "3", "--data-dir", "/d"];
        resolve(Args::parse_from(typed.iter().chain(flags)))
    }

    #[test]
    fn what_is_typed_is_what_is_meant() {
        let config = check(&[
            "--kafka-listen=0.0.0.0:30001",
            "--kafka-advertised=broker-3.example:9092",
            "--seed-broker=1=a:9192",
            "--seed-broker=3=me:9192",
            "--rack=r1",
            "--kafka-external-listen=0.0.0.0:30004",
        ])
        .unwrap();
        assert_eq!(config.broker, BrokerId(3));
        assert_eq!(config.kafka.advertised.as_deref(), Some("broker-3.example:9092"));
        assert_eq!(config.seeds, [(BrokerId(1), "a:9192".to_owned())], "not itself");
        assert_eq!(config.rack.as_deref(), Some("r1"));
        assert_eq!(config.peer.advertised, None);
        assert_eq!(config.kafka_external, Some(([0, 0, 0, 0], 30004).into()));
        assert_eq!(check(&[]).unwrap().kafka_external, None);
    }

    #[test]
    fn errors_name_field_value_and_reason() {
        for (flag, expected) in [
            (
                "--kafka-listen=nonsense",
                "--kafka-listen \"nonsense\": is no HOST:PORT to listen on (invalid socket address)",
            ),
            (
                "--peer-listen=0.0.0.0:1",
                "--peer-listen \"0.0.0.0:1\": listens on every address, so say with \
                 --peer-advertised HOST:PORT which one to tell others",
            ),
            (
                "--kafka-external-listen=nonsense",
                "--kafka-external-listen \"nonsense\": is no HOST:PORT to listen on (invalid socket \
                 address)",
            ),
            ("--kafka-advertised=host", "--kafka-advertised \"host\": must be HOST:PORT"),
            ("--kafka-advertised=host:0", "--kafka-advertised \"host:0\": \"0\" is no port"),
            ("--seed-broker=x=h:1", "--seed-broker \"x=h:1\": \"x\" is no broker id"),
            ("--seed-broker=h:1", "--seed-broker \"h:1\": must be ID=HOST:PORT"),
            ("--seed-broker=1048576=h:1", "--seed-broker \"1048576\": must be at most 1048575"),
            ("--segment-bytes=1", "--segment-bytes \"1\": must be from 65536 to 1099511627776"),
        ] {
            assert_eq!(check(&[flag]).unwrap_err().to_string(), expected);
        }
    }
}
