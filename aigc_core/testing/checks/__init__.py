"""The promises of the contract, each a function that puts one to the test."""
