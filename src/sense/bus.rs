//! Questions to services on the system bus, each with a limit: whoever hangs there holds nobody up for long.

use std::time::Duration;
use tokio::time::timeout;
use zbus::zvariant::{DynamicType, OwnedValue};
use zbus::{Connection, connection};

/// Longest wait for the bus, and for each answer on it.
pub const PATIENCE: Duration = Duration::from_secs(2);

const BUS: &str = "org.freedesktop.DBus";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A connection of our own.
#[derive(Clone, Debug)]
pub struct Bus(Connection);

/// Somebody on the bus.
#[derive(Clone, Debug)]
pub struct Service {
    connection: Connection,
    /// Its unique name: a call to it starts nobody, and reaches nobody else.
    owner: String,
}

/// An interface of an object of somebody's.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The object.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
}

impl Bus {
    /// `address`: of the bus; `None`: the system bus.
    ///
    /// # Errors
    /// There is no bus, or it does not answer in time.
    pub async fn connect(address: Option<&str>) -> zbus::Result<Self> {
        let bus = match address {
            Some(address) => connection::Builder::address(address)?,
            None => connection::Builder::system()?,
        };
        let connecting = bus.method_timeout(PATIENCE).build();
        match timeout(PATIENCE, connecting).await {
            Ok(connection) => connection.map(Self),
            Err(_) => Err(zbus::Error::InputOutput(std::sync::Arc::new(std::io::ErrorKind::TimedOut.into()))),
        }
    }

    /// Who has this name now; `None`: nobody.
    ///
    /// # Errors
    /// The bus does not answer in time.
    pub async fn service(&self, name: &str) -> zbus::Result<Option<Service>> {
        let path = "/org/freedesktop/DBus";
        match self.0.call_method(Some(BUS), path, Some(BUS), "GetNameOwner", &name).await {
            Ok(answer) => {
                let owner = answer.body().deserialize()?;
                Ok(Some(Service { connection: self.0.clone(), owner }))
            }
            Err(zbus::Error::MethodError(error, ..)) if error.ends_with(".NameHasNoOwner") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Service {
    /// Calls a method whose answer says nothing.
    ///
    /// # Errors
    /// It refuses, or does not answer in time.
    pub async fn call(
        &self,
        at: At<'_>,
        method: &str,
        arguments: &(impl serde::Serialize + DynamicType),
    ) -> zbus::Result<()> {
        let At { path, interface } = at;
        self.connection
            .call_method(Some(self.owner.as_str()), path, Some(interface), method, arguments)
            .await
            .map(drop)
    }

    /// A property.
    ///
    /// # Errors
    /// There is none of this name and type, or the answer does not come in time.
    pub async fn get<T>(&self, at: At<'_>, property: &str) -> zbus::Result<T>
    where
        T: TryFrom<OwnedValue>,
        T::Error: Into<zbus::Error>,
    {
        let arguments = (at.interface, property);
        let to = Some(self.owner.as_str());
        let answer = self.connection.call_method(to, at.path, Some(PROPERTIES), "Get", &arguments).await?;
        let value: OwnedValue = answer.body().deserialize()?;
        T::try_from(value).map_err(Into::into)
    }

    /// Sets a property.
    ///
    /// # Errors
    /// As [`Service::call`].
    pub async fn set(
        &self,
        at: At<'_>,
        property: &str,
        value: zbus::zvariant::Value<'_>,
    ) -> zbus::Result<()> {
        let at_properties = At { path: at.path, interface: PROPERTIES };
        self.call(at_properties, "Set", &(at.interface, property, value)).await
    }
}
