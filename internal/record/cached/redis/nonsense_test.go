package redis

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// A server that answers what no Redis does is one that does not answer.
func TestNonsense(t *testing.T) {
	for _, answer := range []string{
		"-WRONGTYPE nonsense\r\n$-9\r\n\x00", "HTTP/1.1 400 Bad Request\r\n\r\n", "$99999999999\r\nx", "*1000000000\r\n", "%-1\r\n", "\r\n", ":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n", "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
		">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n", "_\r\n", "#t\r\n", "(123\r\n", "|1\r\n+a\r\n+b\r\n+OK\r\n", "~2\r\n+a\r\n+b\r\n", "$?\r\n", "*?\r\n", "$5\r\nab\r\n\r\n", "*-2\r\n", "$-2\r\n", "%1000000000\r\n", "*2147483647\r\n*2147483647\r\n",
	} {
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan struct{}, 100)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte(answer))
				_ = conn.Close()
				asked <- struct{}{}
			}
		}()
		c := open(t, Config{Addresses: []string{l.Addr().String()}})
		<-asked
		time.Sleep(50 * time.Millisecond)
		if err := c.Set(t.Context(), "k", []byte("v"), time.Minute); err == nil {
			t.Errorf("%q is an answer", answer)
		}
		_ = c.Close()
		_ = l.Close()
	}
}

// TestNonsenseLater: a server that is one at first, of its own or of a cluster, and then answers what ends the client, does not end the process.
func TestNonsenseLater(t *testing.T) {
	const cluster = "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n+127.0.0.1\r\n:PORT\r\n"
	for _, answer := range []string{"_xx+OK\r\n", "#txx+OK\r\n", "-MOVED\r\n", "-ASK 1\r\n", "!5\r\nMOVED\r\n", "!3\r\nASK\r\n"} {
		for _, topology := range []string{"-ERR This instance has cluster support disabled\r\n", cluster} {
			nonsenseLater(t, topology, answer)
		}
	}
}

func nonsenseLater(t *testing.T, topology, answer string) {
	t.Helper()
	address, _ := liar(t, map[string]string{"HELLO": hello, "CLUSTER": topology, "GET": answer})
	c := open(t, Config{Addresses: []string{address}})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err := c.Set(t.Context(), "k", []byte("v"), time.Minute); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is no server at all")
		}
	}
	if value, err := c.Get(t.Context(), []string{"k"}); err == nil {
		t.Errorf("%q is an answer: %q", answer, value)
	}
}

// What a stream is cut into changes nothing of what is seen in it.
func TestScanner(t *testing.T) {
	for stream, want := range map[string]string{
		"+OK\r\n$3\r\na\r\n\r\n$-1\r\n:1\r\n":                        "+ $a\r\n $ :",
		"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$9\r\nSUBSCRIBE\r\n":    "*GET *SUBSCRIBE",
		"%1\r\n+a\r\n*2\r\n*-1\r\n*0\r\n>2\r\n+a\r\n$0\r\n\r\n_\r\n": "% > _",
		"$1\r\nxyz":                "$x",
		"*2\r\n:1\r\n":             "",
		"!3\r\nERR\r\n@\r\n":       "!ERR wrong",
		"*-2\r\n":                  "wrong",
		"#t\r\n#f\r\n":             "# #",
		"_xx+OK\r\n":               "wrong",
		"#txx+OK\r\n":              "wrong",
		"#\r\n":                    "wrong",
		"-MOVED 1 h:2\r\n-ERR\r\n": "- -",
		"-MOVED\r\n":               "wrong",
		"-ASK 1\r\n":               "wrong",
		"!5\r\nMOVED\r\n":          "wrong",
		"+\n":                      "wrong",
		"$99999999999\r\n":         "wrong",
		"*60000\r\n*60000\r\n":     "wrong",
		"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n": "wrong",
	} {
		for size := 1; size <= len(stream); size++ {
			var got []string
			s := scanner{whole: func(kind byte, first []byte) error {
				got = append(got, string(kind)+string(first))
				return nil
			}}
			for piece := range slices.Chunk([]byte(stream), size) {
				if err := s.scan(piece); err != nil {
					got = append(got, "wrong")
					break
				}
			}
			if text := strings.Join(got, " "); text != want {
				t.Errorf("%q in pieces of %d: %q, want %q", stream, size, text, want)
			}
		}
	}
}
