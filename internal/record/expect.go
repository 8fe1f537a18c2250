package record

import "context"

type expectKey struct{}

// Expect returns a context under which a List is told that its caller will read about n entries, so that a driver that reads pages asks for no more than
// are wanted. It is a hint: a list under it is the same list, however far it is read.
func Expect(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, expectKey{}, n)
}

// Expected returns what Expect was told; 0: nobody said.
func Expected(ctx context.Context) int {
	n, _ := ctx.Value(expectKey{}).(int)
	return n
}
