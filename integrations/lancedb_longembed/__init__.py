"""LanceDB as a store of `longembed index`: in a folder or an object store, with its own words."""
