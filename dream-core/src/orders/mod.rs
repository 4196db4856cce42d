//! Orders.
use crate::dream::Core;
use crate::error::Result;
use crate::kernel::UserId;
use crate::outbox::{Next, Task};
use crate::store::Tx;
use std::sync::Arc;
pub(crate) async fn forget(_tx: &mut Tx, _user: UserId) -> Result<()> {
    Ok(())
}
pub(crate) async fn check(_core: &Arc<Core>, _task: &Task) -> Result<Next> {
    Ok(Next::Done)
}
pub(crate) async fn follow_refund(_core: &Arc<Core>, _task: &Task) -> Result<Next> {
    Ok(Next::Done)
}
