//! Latency at a fixed rate, to the microsecond: Kafka's own tool tells whole milliseconds, between
//! two readings of a clock that has no more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

/// Records are handed over in bunches this far apart.
const BEAT: Duration = Duration::from_millis(1);
const RECORD_BYTES: usize = 1024;

/// From send to acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paced {
    /// Median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
}

/// When each record was sent comes back with its acknowledgement.
struct Times(Arc<Mutex<Acknowledged>>);

#[derive(Default)]
struct Acknowledged {
    after: Vec<Duration>,
    refused: Option<KafkaError>,
}

impl ClientContext for Times {}

impl ProducerContext for Times {
    type DeliveryOpaque = Box<Instant>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Instant>) {
        let after = sent.elapsed();
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) => times.after.push(after),
            Err((error, _)) => times.refused = Some(error.clone()),
        }
    }
}

/// How records are sent.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Records a second.
    pub per_second: u32,
    /// Requests that a broker may have unanswered. What comes meanwhile goes into the next one, so that
    /// with many of them each record has its own.
    pub in_flight: u32,
    /// This long without being counted ...
    pub warmup: Duration,
    /// ... and then this long.
    pub time: Duration,
}

/// Sends records of 1 KiB with librdkafka, acks=all and no linger, to partitions in turn. A record that
/// is refused is an error.
pub fn produce_paced(
    bootstrap: &str,
    (topic, partitions): (&str, i32),
    Pace { per_second, in_flight, warmup, time }: Pace,
) -> Result<Paced> {
    let times = Arc::new(Mutex::new(Acknowledged::default()));
    let producer: ThreadedProducer<Times> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("max.in.flight.requests.per.connection", in_flight.to_string())
        .create_with_context(Times(Arc::clone(&times)))?;
    send_for(&producer, (topic, partitions), per_second, warmup)?;
    producer.flush(Duration::from_secs(30)).context("after warming up")?;
    times.lock().unwrap_or_else(PoisonError::into_inner).after.clear();
    send_for(&producer, (topic, partitions), per_second, time)?;
    producer.flush(Duration::from_secs(30)).context("at the end")?;

    let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = &times.refused {
        bail!("a record was refused: {error}");
    }
    times.after.sort_unstable();
    Ok(Paced { p50_ms: percentile(&times.after, 50)?, p99_ms: percentile(&times.after, 99)? })
}

fn send_for(
    producer: &ThreadedProducer<Times>,
    (topic, partitions): (&str, i32),
    per_second: u32,
    time: Duration,
) -> Result<()> {
    let payload = [b'x'; RECORD_BYTES];
    let start = Instant::now();
    let mut sent = 0_u64;
    loop {
        let elapsed = start.elapsed();
        if elapsed >= time {
            return Ok(());
        }
        let due = (elapsed.as_secs_f64() * f64::from(per_second)) as u64;
        while sent < due {
            let partition = i32::try_from(sent % u64::try_from(partitions)?)?;
            let record = BaseRecord::<(), [u8], Box<Instant>>::with_opaque_to(
                topic,
                Box::new(Instant::now()),
            );
            match producer.send(record.partition(partition).payload(&payload)) {
                Ok(()) => sent += 1,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => break,
                Err((error, _)) => bail!("the client refused a record: {error}"),
            }
        }
        std::thread::sleep(BEAT);
    }
}

/// Of sorted times, in milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> Result<f64> {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    let time = sorted.get(at).context("nothing was acknowledged")?;
    Ok(time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentiles() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50).unwrap(), 101.0);
        assert_eq!(percentile(&times, 99).unwrap(), 199.0);
        assert_eq!(percentile(&times[..1], 99).unwrap(), 1.0);
        assert!(percentile(&[], 50).is_err());
    }
}
