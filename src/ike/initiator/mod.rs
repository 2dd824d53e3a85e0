//! The initiator: IKE_SA_INIT, IKE_AUTH with EAP or a token.
