//! Several servers, of which some go and come back.
