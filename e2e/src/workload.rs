//! An acks=all idempotent producer and a checking consumer that run throughout a test.
//!
//! Both are librdkafka with its own retries and a delivery timeout longer than any test, so an
//! error that reaches us is one that no retry heals.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::check::{check, prove_checker};
use crate::history::{History, Received};
use crate::pauses::{Pause, Pauses};
use crate::wait::{self, Look};

/// What a workload does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `host:port,...`
    pub bootstrap: String,
    /// An existing topic.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many records a second.
    pub rate: u32,
    /// How long a value is, at least 16 bytes.
    pub value_bytes: usize,
}

/// The history so far, and when acknowledgements came.
#[derive(Debug, Default)]
struct Shared {
    history: Mutex<(History, Pauses)>,
    stop: AtomicBool,
    /// The producer has stopped and has an answer for every record.
    is_flushed: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, (History, Pauses)> {
        // A thread that panicked leaves a history that is still the truth.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a workload ended with.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Records acknowledged.
    pub acked: usize,
    /// The longest time without an acknowledgement from any partition.
    pub longest_pause: Duration,
    /// And from the one that was worst off.
    pub partition_pause: Duration,
}

/// A running producer and consumer.
#[derive(Debug)]
pub struct Workload {
    plan: Plan,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Workload {
    /// Where it runs: the bootstrap addresses and the topic.
    #[must_use]
    pub fn place(&self) -> (String, String) {
        (self.plan.bootstrap.clone(), self.plan.topic.clone())
    }

    /// Starts both.
    pub fn start(plan: Plan) -> Result<Workload> {
        let shared = Arc::new(Shared::default());
        let producer = producer(&plan.bootstrap, Ledger(Arc::clone(&shared)))?;
        let consumer = consumer(&plan)?;
        let (for_producer, for_consumer) = (Arc::clone(&shared), Arc::clone(&shared));
        let (pace, topic) = (plan.clone(), plan.clone());
        let threads = vec![
            std::thread::spawn(move || produce(&pace, &producer, &for_producer)),
            std::thread::spawn(move || consume(&topic, &consumer, &for_consumer)),
        ];
        Ok(Workload { plan, shared, threads })
    }

    /// How many records were acknowledged so far.
    pub fn acked(&self) -> usize {
        self.shared.lock().0.acked_count()
    }

    /// The longest times without an acknowledgement since this was last asked.
    pub fn take_pause(&self) -> Pause {
        self.shared.lock().1.take(Instant::now())
    }

    /// Waits until this many more records were acknowledged: the cluster serves.
    pub fn wait_for_more(&self, more: usize, stall: Duration) -> Result<()> {
        let goal = self.acked() + more;
        wait::until("acknowledgements", stall, || {
            let acked = self.acked();
            if acked >= goal { Ok(Look::Done(())) } else { wait::at(acked) }
        })
    }

    /// Stops the producer, lets the consumer read to the end, reads everything once more with a
    /// second consumer, and checks both histories. The checker has to notice damage first.
    pub fn finish(self, stall: Duration) -> Result<Summary> {
        self.shared.stop.store(true, Ordering::Release);
        for thread in self.threads {
            match thread.join() {
                Ok(result) => result?,
                Err(_) => bail!("a workload thread panicked"),
            }
        }
        let (history, Pause { whole: longest_pause, partition: partition_pause }) = {
            let mut shared = self.shared.lock();
            (std::mem::take(&mut shared.0), shared.1.longest())
        };
        judge("the consumer that ran throughout", &history)?;
        let again = read_again(&self.plan, &history, stall)?;
        judge("a second reading", &again)?;
        Ok(Summary { acked: history.acked_count(), longest_pause, partition_pause })
    }
}

fn judge(what: &str, history: &History) -> Result<()> {
    if let Err(reason) = prove_checker(history) {
        bail!("{what} proves nothing: {reason}");
    }
    let violations = check(history);
    if violations.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = violations.iter().take(10).map(ToString::to_string).collect();
    bail!("{what} found {} broken promises:\n{}", violations.len(), shown.join("\n"))
}

/// Everything from the start, with a consumer that knows nothing.
fn read_again(plan: &Plan, history: &History, stall: Duration) -> Result<History> {
    let mut again = history.clone();
    again.partitions.values_mut().for_each(|partition| partition.received.clear());
    let consumer = consumer(plan)?;
    wait::until("a second reading", stall, || {
        for _ in 0..10_000 {
            match consumer.poll(Duration::from_millis(20)) {
                Some(message) => record(&mut again, message)?,
                None => break,
            }
        }
        if has_all(&again) { Ok(Look::Done(())) } else { wait::at(again.received_count()) }
    })?;
    Ok(again)
}

/// Whether the consumer is past every acknowledged record.
fn has_all(history: &History) -> bool {
    history.acked_ends().iter().all(|(id, end)| {
        let partition = history.partitions.get(id);
        let last = partition.and_then(|partition| partition.received.last());
        last.is_some_and(|last| last.offset >= *end)
    })
}

/// Writes acknowledgements into the ledger.
struct Ledger(Arc<Shared>);

impl ClientContext for Ledger {
    fn error(&self, error: KafkaError, reason: &str) {
        // Lost connections are what these tests are about; only fatal errors break a promise.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.0.lock().0.fatal_errors.push(format!("{error}: {reason}"));
        }
    }
}

impl ProducerContext for Ledger {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, serial: Box<u64>) {
        let mut shared = self.0.lock();
        match result {
            Ok(message) => {
                shared.0.acked(message.partition(), *serial, message.offset());
                shared.1.acked(message.partition(), Instant::now());
            }
            Err((error, message)) => {
                let text = format!("record {serial} of {}: {error}", message.partition());
                shared.0.fatal_errors.push(text);
            }
        }
    }
}

fn producer(bootstrap: &str, ledger: Ledger) -> Result<BaseProducer<Ledger>> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "5")
        .set("message.timeout.ms", "600000")
        .set("socket.timeout.ms", "10000")
        // Nobody answers at the address of a pod that is gone; the default is 30 s.
        .set("socket.connection.setup.timeout.ms", "2000")
        .set("reconnect.backoff.max.ms", "500")
        .set("retry.backoff.ms", "50")
        .set("topic.metadata.refresh.interval.ms", "2000")
        .create_with_context(ledger)
        .context("cannot make a producer")
}

fn consumer(plan: &Plan) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &plan.bootstrap)
        .set("group.id", "unused: partitions are assigned by hand")
        .set("enable.auto.commit", "false")
        // The log is never cut in these tests: a reset would hide a loss.
        .set("auto.offset.reset", "error")
        .set("socket.timeout.ms", "10000")
        // Nobody answers at the address of a pod that is gone; the default is 30 s.
        .set("socket.connection.setup.timeout.ms", "2000")
        .set("reconnect.backoff.max.ms", "500")
        .set("fetch.wait.max.ms", "100")
        .set("topic.metadata.refresh.interval.ms", "2000")
        .create()
        .context("cannot make a consumer")?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..plan.partitions {
        assignment.add_partition_offset(&plan.topic, partition, Offset::Offset(0))?;
    }
    consumer.assign(&assignment)?;
    Ok(consumer)
}

/// A value that says which record it is in every byte.
fn value(serial: u64, len: usize) -> Vec<u8> {
    let mut bytes = serial.to_be_bytes().to_vec();
    let mut state = serial;
    while bytes.len() < len {
        // A step of splitmix64: cheap, and different for every record.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bytes.extend_from_slice(&mixed.to_le_bytes());
    }
    bytes.truncate(len.max(8));
    bytes
}

fn produce(plan: &Plan, producer: &BaseProducer<Ledger>, shared: &Shared) -> Result<()> {
    let start = Instant::now();
    let mut serial: u64 = 0;
    while !shared.stop.load(Ordering::Acquire) {
        let due = (start.elapsed().as_secs_f64() * f64::from(plan.rate)) as u64;
        while serial < due && !shared.stop.load(Ordering::Acquire) {
            let partition = i32::try_from(serial % plan.partitions.unsigned_abs() as u64)?;
            shared.lock().0.sent(partition, serial);
            send(plan, producer, partition, serial)?;
            serial += 1;
        }
        producer.poll(Duration::from_millis(2));
    }
    // Whatever is still on its way gets its answer: the delivery timeout is longer than this.
    let flushed = producer.flush(Duration::from_secs(120));
    shared.is_flushed.store(true, Ordering::Release);
    flushed.context("records were still unanswered after 120 s")
}

fn send(plan: &Plan, producer: &BaseProducer<Ledger>, partition: i32, serial: u64) -> Result<()> {
    let bytes = value(serial, plan.value_bytes);
    let key = serial.to_be_bytes();
    loop {
        let record = BaseRecord::with_opaque_to(&plan.topic, Box::new(serial))
            .partition(partition)
            .key(&key[..])
            .payload(&bytes);
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => bail!("record {serial} was refused by the client: {error}"),
        }
    }
}

/// Reads until the producer has stopped and everything acknowledged has been seen.
fn consume(plan: &Plan, consumer: &BaseConsumer, shared: &Shared) -> Result<()> {
    let mut progress = Instant::now();
    loop {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            record(&mut shared.lock().0, message)?;
            progress = Instant::now();
            continue;
        }
        if shared.is_flushed.load(Ordering::Acquire) && has_all(&shared.lock().0) {
            return Ok(());
        }
        if progress.elapsed() > Duration::from_secs(120) {
            bail!("the consumer of {} has received nothing for 120 s", plan.topic);
        }
    }
}

fn record(
    history: &mut History,
    message: Result<rdkafka::message::BorrowedMessage<'_>, KafkaError>,
) -> Result<()> {
    let message = match message {
        Ok(message) => message,
        Err(error) if is_passing(&error) => return Ok(()),
        Err(error) => {
            history.fatal_errors.push(format!("the consumer: {error}"));
            return Ok(());
        }
    };
    let payload = message.payload().unwrap_or_default();
    let serial = payload.first_chunk().map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes));
    let is_intact =
        payload == value(serial, payload.len()) && message.key() == Some(&serial.to_be_bytes()[..]);
    history.received(message.partition(), Received { offset: message.offset(), serial, is_intact });
    Ok(())
}

/// Errors of a consumer that librdkafka goes on after.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::Resolve
        )
    )
}
