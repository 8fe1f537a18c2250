// Package plant builds Holdfast with bugs planted in it: each takes one rule of the protocol away. It proves
// that the simulation, and other checkers, find what they are there to find. The code of the product holds no
// switches: mutated copies of its files are compiled in their place (go build -overlay), and the variable
// HOLDFAST_PLANTED of the environment says which bug is awake in the binary.
//
// Begin with Bugs, the table. The command is test/simulate/planted.
package plant
