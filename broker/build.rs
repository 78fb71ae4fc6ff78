//! Generates the gRPC types and services of `proto/`.

fn main() -> std::io::Result<()> {
    tonic_prost_build::configure()
        .bytes(".chronik.peer.v1")
        .compile_protos(&["proto/admin.proto", "proto/peer.proto"], &["proto"])
}
