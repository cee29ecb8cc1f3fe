"""A policy at work for programs elsewhere: observations in, actions out, over a socket."""
