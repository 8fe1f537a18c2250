// Package packages tests what is delivered for a machine without a cluster: deb and rpm are built, installed, and removed; units and
// example configurations are checked by the programs that read them.
package packages
