// Package tutorial walks through docs/tutorial-bare-metal.md on machines of its own, each with a systemd, HAProxy and keepalived. The commands and files are taken
// from the page's code blocks, so that text and test cannot differ. After the language a block says what it is for:
//
//	host=1,2,3    on these hosts at once; client: where the test is; holder: on the host that has the virtual address
//	file=PATH     the block is this file; without it, it is a shell's commands, of which none may fail
//	one-by-one    one host after the other
//	under-load    while clients push and pull; none of their requests may fail
//
// A block without host= is for people.
package tutorial
