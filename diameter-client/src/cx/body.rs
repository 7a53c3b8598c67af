//! The AVPs of one level while a command takes out what it knows; what stays is unknown.

use super::Fault;
use crate::dictionary::AvpDef;
use crate::wire::{Avp, Avps, RawAvp};
use smallvec::SmallVec;

/// How hard a reader looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A request: an unknown AVP with the M bit, or one too many, is refused.
    Request,
    /// An answer: whoever sent it cannot be told, so what can be used is used.
    Answer,
}

/// AVPs of one level, taken out one by one.
pub(crate) struct Body<'a> {
    avps: SmallVec<[Avp<'a>; 24]>,
    reading: Reading,
}

impl<'a> Body<'a> {
    pub fn read(avps: Avps<'a>, reading: Reading) -> Result<Body<'a>, Fault> {
        let avps = avps.collect::<Result<_, _>>()?;
        Ok(Body { avps, reading })
    }

    /// Takes the AVP that may be there once.
    pub fn take(&mut self, def: &AvpDef) -> Result<Option<Avp<'a>>, Fault> {
        let Some(at) = self.avps.iter().position(|avp| avp.is(def)) else { return Ok(None) };
        let avp = self.avps.remove(at);
        if self.reading == Reading::Request
            && let Some(second) = self.avps.iter().find(|avp| avp.is(def))
        {
            return Err(Fault::too_many(second, def));
        }
        Ok(Some(avp))
    }

    /// Takes every AVP of a kind, in order.
    pub fn take_all(&mut self, def: &AvpDef) -> SmallVec<[Avp<'a>; 4]> {
        let mut taken = SmallVec::new();
        self.avps.retain(|avp| {
            let is_taken = avp.is(def);
            if is_taken {
                taken.push(*avp);
            }
            !is_taken
        });
        taken
    }

    /// The M bit of every AVP of a kind, in order.
    pub fn peek_mandatory(&self, def: &AvpDef) -> impl Iterator<Item = bool> {
        self.avps.iter().filter(|avp| avp.is(def)).map(Avp::is_mandatory)
    }

    pub fn text(&mut self, def: &AvpDef) -> Result<String, Fault> {
        self.text_if(def)?.ok_or_else(|| Fault::missing(def))
    }

    pub fn text_if(&mut self, def: &AvpDef) -> Result<Option<String>, Fault> {
        self.take(def)?.map(|avp| text_of(&avp)).transpose()
    }

    pub fn texts(&mut self, def: &AvpDef) -> Result<Vec<String>, Fault> {
        self.take_all(def).iter().map(text_of).collect()
    }

    pub fn octets(&mut self, def: &AvpDef) -> Result<Vec<u8>, Fault> {
        self.octets_if(def)?.ok_or_else(|| Fault::missing(def))
    }

    pub fn octets_if(&mut self, def: &AvpDef) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.take(def)?.map(|avp| avp.data.to_vec()))
    }

    pub fn octets_all(&mut self, def: &AvpDef) -> Vec<Vec<u8>> {
        self.take_all(def).iter().map(|avp| avp.data.to_vec()).collect()
    }

    pub fn unsigned32(&mut self, def: &AvpDef) -> Result<u32, Fault> {
        self.unsigned32_if(def)?.ok_or_else(|| Fault::missing(def))
    }

    pub fn unsigned32_if(&mut self, def: &AvpDef) -> Result<Option<u32>, Fault> {
        self.take(def)?.map(|avp| number_of(&avp)).transpose()
    }

    pub fn unsigned32s(&mut self, def: &AvpDef) -> Result<Vec<u32>, Fault> {
        self.take_all(def).iter().map(number_of).collect()
    }

    pub fn enumerated<T>(&mut self, def: &AvpDef, from_code: fn(u32) -> Option<T>) -> Result<T, Fault> {
        self.enumerated_if(def, from_code)?.ok_or_else(|| Fault::missing(def))
    }

    pub fn enumerated_if<T>(
        &mut self,
        def: &AvpDef,
        from_code: fn(u32) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(avp) = self.take(def)? else { return Ok(None) };
        match from_code(number_of(&avp)?) {
            Some(value) => Ok(Some(value)),
            None => Err(Fault::in_avp(avp.invalid_value(), &avp)),
        }
    }

    pub fn group<T>(
        &mut self,
        def: &AvpDef,
        read: impl FnMut(&mut Body<'a>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.group_if(def, read)?.ok_or_else(|| Fault::missing(def))
    }

    pub fn group_if<T>(
        &mut self,
        def: &AvpDef,
        mut read: impl FnMut(&mut Body<'a>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        let Some(avp) = self.take(def)? else { return Ok(None) };
        self.read_group(&avp, &mut read).map(Some)
    }

    pub fn groups<T>(
        &mut self,
        def: &AvpDef,
        mut read: impl FnMut(&mut Body<'a>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        self.take_all(def).iter().map(|avp| self.read_group(avp, &mut read)).collect()
    }

    /// What nobody took. In a request an AVP with the M bit among it is the fault of the request.
    pub fn rest(&mut self) -> Result<Vec<RawAvp>, Fault> {
        if self.reading == Reading::Request
            && let Some(avp) = self.avps.iter().find(|avp| avp.is_mandatory())
        {
            return Err(Fault::unsupported(avp));
        }
        Ok(self.avps.drain(..).map(|avp| RawAvp::from(&avp)).collect())
    }

    /// Reads a group; unknown AVPs in it are passed over, unless they are mandatory in a request.
    fn read_group<T>(
        &self,
        avp: &Avp<'a>,
        read: &mut impl FnMut(&mut Body<'a>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let avps = avp.group().map_err(|error| Fault::in_avp(error, avp))?;
        let mut inside = Body::read(avps, self.reading)?;
        let value = read(&mut inside)?;
        if self.reading == Reading::Request {
            inside.rest()?;
        }
        Ok(value)
    }
}

fn text_of(avp: &Avp<'_>) -> Result<String, Fault> {
    avp.text().map(str::to_owned).map_err(|error| Fault::in_avp(error, avp))
}

fn number_of(avp: &Avp<'_>) -> Result<u32, Fault> {
    avp.unsigned32().map_err(|error| Fault::in_avp(error, avp))
}
