"""What Hevo's API sends: enumerations that load in no time, and models that are built when first asked for."""
