//! What the load generator, the baselines and the crowd share. Nothing here knows the gateway's
//! code: it is measured from outside, over its sockets.

pub mod cpu;
pub mod numbers;
pub mod wire;
