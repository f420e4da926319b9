//! The four create operations: one record, modes as numbers, and times to live.

use std::borrow::Cow;

use types::{AclList, Create, CreateCall, CreateMode, ErrorCode};

use crate::jute::{self, DecodeError, Reader};
use crate::opcode::OpCode;

const PERSISTENT: i32 = 0;
const EPHEMERAL: i32 = 1;
const PERSISTENT_SEQUENTIAL: i32 = 2;
const EPHEMERAL_SEQUENTIAL: i32 = 3;
const CONTAINER: i32 = 4;
const PERSISTENT_WITH_TTL: i32 = 5;
const PERSISTENT_SEQUENTIAL_WITH_TTL: i32 = 6;
const NO_SUCH_MODE: i32 = -1;

/// The time to live of operations that have no field for it.
const NO_TTL: i64 = -1;

/// A create as sent, before its parts are seen to fit together.
pub(super) struct RawCreate<'a> {
    call: CreateCall,
    path: Cow<'a, str>,
    data: Option<Cow<'a, [u8]>>,
    acl: AclList,
    flags: i32,
    ttl_ms: i64,
}

impl<'a> RawCreate<'a> {
    pub(super) fn decode(call: CreateCall, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            call,
            path: reader.text_not_null("path")?,
            data: reader.buffer()?.map(Cow::Borrowed),
            acl: reader.acls()?,
            flags: reader.int()?,
            ttl_ms: match call {
                CreateCall::Ttl => reader.long()?,
                CreateCall::Create | CreateCall::Create2 | CreateCall::Container => NO_TTL,
            },
        })
    }

    /// As an operation of its own.
    ///
    /// A TTL mode without the field for it keeps the impossible time to live -1, since the server's
    /// configuration decides how that is answered. A createTTL of another kind of znode must not
    /// have a time to live, and then is a create2 or createContainer: they answer alike.
    ///
    /// # Errors
    /// [`ErrorCode::BadArguments`] when there is no such mode, or a time to live too many.
    pub(super) fn into_create(self) -> Result<Create<'a>, ErrorCode> {
        let mode = self.mode().ok_or(ErrorCode::BadArguments)?;
        let call = match (self.call, mode.ttl_ms()) {
            (CreateCall::Ttl, None) if self.ttl_ms >= 0 => return Err(ErrorCode::BadArguments),
            (CreateCall::Ttl, None) if mode == CreateMode::Container => CreateCall::Container,
            (CreateCall::Ttl, None) => CreateCall::Create2,
            (call, _) => call,
        };
        Ok(self.with(call, mode))
    }

    /// As a part of a multi, where the mode has a say in which operation it is: a container mode
    /// makes any of them a createContainer, a TTL mode needs the field for it, and createTTL with
    /// any other mode is a plain create. `None` spoils the multi.
    pub(super) fn into_multi_create(self) -> Option<Create<'a>> {
        let mode = self.mode()?;
        let call = match (self.call, mode.ttl_ms()) {
            (CreateCall::Ttl, Some(_)) => CreateCall::Ttl,
            (_, Some(_)) => return None,
            (_, None) if mode == CreateMode::Container => CreateCall::Container,
            (CreateCall::Ttl, None) => CreateCall::Create,
            (call, None) => call,
        };
        Some(self.with(call, mode))
    }

    /// The number of the mode.
    pub(super) const fn flags(&self) -> i32 {
        self.flags
    }

    fn mode(&self) -> Option<CreateMode> {
        Some(match self.flags {
            PERSISTENT => CreateMode::Persistent,
            EPHEMERAL => CreateMode::Ephemeral,
            PERSISTENT_SEQUENTIAL => CreateMode::PersistentSequential,
            EPHEMERAL_SEQUENTIAL => CreateMode::EphemeralSequential,
            CONTAINER => CreateMode::Container,
            PERSISTENT_WITH_TTL => CreateMode::PersistentWithTtl(self.ttl_ms),
            PERSISTENT_SEQUENTIAL_WITH_TTL => CreateMode::PersistentSequentialWithTtl(self.ttl_ms),
            _ => return None,
        })
    }

    fn with(self, call: CreateCall, mode: CreateMode) -> Create<'a> {
        Create { call, path: self.path, data: self.data, acl: self.acl, mode }
    }
}

/// The number of the operation.
pub(super) const fn opcode(call: CreateCall) -> OpCode {
    match call {
        CreateCall::Create => OpCode::Create,
        CreateCall::Create2 => OpCode::Create2,
        CreateCall::Container => OpCode::CreateContainer,
        CreateCall::Ttl => OpCode::CreateTtl,
    }
}

/// Appends the record.
pub(super) fn put(out: &mut Vec<u8>, create: &Create<'_>) {
    jute::put_text(out, &create.path);
    jute::put_buffer(out, create.data.as_deref());
    jute::put_acls(out, &create.acl);
    jute::put_int(out, flags(create.mode));
    if create.call == CreateCall::Ttl {
        jute::put_long(out, create.mode.ttl_ms().unwrap_or(NO_TTL));
    }
}

/// Appends a record with a mode that does not exist.
pub(super) fn put_bad_mode(out: &mut Vec<u8>) {
    jute::put_text(out, "");
    jute::put_buffer(out, None);
    jute::put_acls(out, &[]);
    jute::put_int(out, NO_SUCH_MODE);
}

const fn flags(mode: CreateMode) -> i32 {
    match mode {
        CreateMode::Persistent => PERSISTENT,
        CreateMode::Ephemeral => EPHEMERAL,
        CreateMode::PersistentSequential => PERSISTENT_SEQUENTIAL,
        CreateMode::EphemeralSequential => EPHEMERAL_SEQUENTIAL,
        CreateMode::Container => CONTAINER,
        CreateMode::PersistentWithTtl(_) => PERSISTENT_WITH_TTL,
        CreateMode::PersistentSequentialWithTtl(_) => PERSISTENT_SEQUENTIAL_WITH_TTL,
    }
}
