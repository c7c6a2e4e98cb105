//! An Envoy that asks the guard: the `ext_proc` protocol (`envoy.service.ext_proc.v3.ExternalProcessor`) over gRPC.
//!
//! A gateway that already stands before a model server keeps its routes, certificates and clusters, and sends every
//! request and answer through the guard. They take the way of every other exchange through the gate: the same reading,
//! judging, policy and records. Only the cleared request is not sent by the guard; Envoy sends it, and brings the answer.
//!
//! Bodies must come in both directions as they arrive (`FULL_DUPLEX_STREAMED`): an Envoy that is configured to hold
//! something back from the guard is refused.

mod exchange;
mod heads;
mod messages;
mod pieces;
mod serve;

pub use serve::ExternalProcessor;
