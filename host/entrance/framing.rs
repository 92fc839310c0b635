//! gRPC's message framing, watched as it passes: a flag byte, four bytes of
//! length, and the message. Nothing is buffered; a message that is too large
//! is known from its prefix alone.

use tonic::Status;

/// How many messages one direction of a call carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cardinality {
    /// Exactly one.
    One,
    /// Any number.
    Many,
}

const PREFIX_BYTES: usize = 5;

/// How far a stream of messages has come.
#[derive(Debug)]
pub(crate) struct Framing {
    cardinality: Cardinality,
    largest: u64,
    messages: u64,
    /// The part of a prefix that has come.
    prefix: [u8; PREFIX_BYTES],
    have: usize,
    /// The message under way, and what is left of it.
    length: u64,
    left: u64,
}

impl Framing {
    pub(crate) fn new(cardinality: Cardinality, largest: u64) -> Framing {
        Framing { cardinality, largest, messages: 0, prefix: [0; PREFIX_BYTES], have: 0, length: 0, left: 0 }
    }

    /// Takes note of bytes that pass; an error is how the call ends.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) -> Result<(), Status> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = bytes.len().min(PREFIX_BYTES - self.have);
            self.prefix[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == PREFIX_BYTES {
                self.have = 0;
                self.begin()?;
            }
        }
        Ok(())
    }

    /// A whole prefix has come.
    fn begin(&mut self) -> Result<(), Status> {
        let [flag, length @ ..] = self.prefix;
        if flag > 1 {
            return Err(Status::internal("a message's compression flag is neither 0 nor 1"));
        }
        self.messages += 1;
        if self.messages > 1 && self.cardinality == Cardinality::One {
            return Err(Status::unimplemented("the method takes exactly one message, and a second one came"));
        }
        self.length = u32::from_be_bytes(length).into();
        self.left = self.length;
        if self.left > self.largest {
            let (found, largest) = (self.left, self.largest);
            return Err(Status::resource_exhausted(format!(
                "a message of {found} bytes is larger than the {largest} allowed"
            )));
        }
        Ok(())
    }

    /// How large the message is that has come in part.
    pub(super) fn arriving(&self) -> u64 {
        if self.left > 0 { self.length } else { 0 }
    }

    /// The stream has ended; an error is how the call ends.
    pub(crate) fn end(&self) -> Result<(), Status> {
        if self.have > 0 || self.left > 0 {
            return Err(Status::internal("the messages end in the middle of one"));
        }
        if self.messages == 0 && self.cardinality == Cardinality::One {
            return Err(Status::unimplemented("the method takes exactly one message, and none came"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn message(flag: u8, length: u32) -> Vec<u8> {
        let mut bytes = vec![flag];
        bytes.extend(length.to_be_bytes());
        bytes.extend(std::iter::repeat_n(b'x', length as usize));
        bytes
    }

    /// The code a stream ends with, however it is cut into pieces.
    fn verdict(cardinality: Cardinality, bytes: &[u8]) -> Option<Code> {
        let whole = |piece: usize| {
            let mut framing = Framing::new(cardinality, 100);
            let passed = bytes.chunks(piece).try_for_each(|bytes| framing.pass(bytes));
            passed.and_then(|()| framing.end()).err().map(|status| status.code())
        };
        let verdict = whole(bytes.len().max(1));
        for piece in 1..8 {
            assert_eq!(whole(piece), verdict, "in pieces of {piece}");
        }
        verdict
    }

    #[test]
    fn whole_messages_pass() {
        assert_eq!(verdict(Cardinality::One, &message(0, 0)), None);
        assert_eq!(verdict(Cardinality::One, &message(1, 100)), None);
        assert_eq!(verdict(Cardinality::Many, &[]), None);
        assert_eq!(verdict(Cardinality::Many, &[message(0, 3), message(0, 0), message(1, 7)].concat()), None);
    }

    #[test]
    fn each_fault_has_its_code() {
        assert_eq!(verdict(Cardinality::One, &[]), Some(Code::Unimplemented));
        assert_eq!(verdict(Cardinality::One, &[message(0, 1), message(0, 1)].concat()), Some(Code::Unimplemented));
        assert_eq!(verdict(Cardinality::Many, &message(2, 1)), Some(Code::Internal));
        assert_eq!(
            verdict(Cardinality::Many, &message(0, 101)[..5]),
            Some(Code::ResourceExhausted),
            "from its prefix alone"
        );
        assert_eq!(verdict(Cardinality::Many, &message(0, 9)[..7]), Some(Code::Internal), "a truncated message");
        assert_eq!(verdict(Cardinality::Many, &message(0, 9)[..3]), Some(Code::Internal), "a truncated prefix");
        assert_eq!(
            verdict(Cardinality::One, &[&message(0, 1)[..], &[0]].concat()),
            Some(Code::Internal),
            "a trailing byte"
        );
    }
}
