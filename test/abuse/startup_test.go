package abuse

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// yaml is a file that begins with a directory of its own.
func (a *attack) yaml(rest string) string {
	a.Helper()
	return a.file("config.yaml", "storage: {rootDirectory: "+a.TempDir()+"}\n"+rest)
}

// configRows are files that an operator has wrong. Exit status 78, before anything listens, with all problems at once.
func configRows() []row {
	place := `config\.(yaml|json):\d+:\d+\)`
	return []row{
		{number: "B69", name: "a key that is none", at: once, run: func(a *attack) {
			a.refuses(a.yaml("storge: {}\n"), `config: storge: is not a key: got "storge", want "storage" .*`+place)
			a.refuses(a.yaml("http: {prot: 1, adress: x}\nlog: {levle: info}\n"), `http\.prot`, `http\.adress`, `log\.levle`)
			a.serve(a.file("config.yaml", "STORAGE: {ROOTDIRECTORY: "+a.TempDir()+"}\nHttp: {Port: 0}\n"))
		}},
		{number: "B70", name: "files that are none", at: once, run: func(a *attack) {
			a.refuses(a.yaml("a: b: c\n"), `not YAML.*`+place)
			a.refuses(a.yaml("http:\n\tport: 1\n"), `tab.*`+place)
			a.refuses(a.file("config.json", `{"storage": {,}}`), `not JSON.*`+place)
			a.refuses(a.file("config.json", `{"storage": {"rootDirectory": "/d"}, "Storage": {}}`), `twice.*`+place)
			a.refuses(a.yaml("#"+strings.Repeat("x", 10<<20)+"\n"), "too large")
			bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
			for c := 'b'; c < 'k'; c++ {
				bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat("*"+string(c-1)+",", 9))
			}
			began := time.Now()
			a.refuses(a.yaml(bomb), "alias multiplies|too large")
			if a.full && time.Since(began) > 5*time.Second {
				a.Errorf("the bomb took %v", time.Since(began))
			}
			for _, text := range []string{"", "[]", "x", "null", "\xff\xfe"} {
				a.refuses(a.file("config.json", text), "config:")
			}
			a.refuses(filepath.Join(a.TempDir(), "nothing.yaml"), "nothing.yaml")
		}},
		{number: "B71", name: "values of the wrong type or range", at: once, run: func(a *attack) {
			a.refuses(a.yaml("http: {port: abc, readTimeout: 60, drainDelay: -1s}\nlog: {level: loud}\n"),
				`http\.port: is not a port number: got "abc"`, `http\.readTimeout: .*without a unit`, `http\.drainDelay: is negative`, `log\.level: .*loud`)
			a.refuses(a.yaml("http: {port: 70000, readTimeout: soon}\n"), `http\.port: is out of range: got 70000`, `readTimeout: is not a duration`)
			a.refuses(a.file("config.yaml", "storage: {rootDirectory: /d, dedupe: perhaps, gc: 7, memoryBudget: 1MiB}\n"), `dedupe`, `storage\.gc`, `memoryBudget`)
		}},
		{number: "B72", name: "the environment", at: once, run: func(a *attack) {
			a.refuses(a.yaml("log: {level: \"${LEVEL_OF_NOBODY}\"}\n"), `environment variable LEVEL_OF_NOBODY is not set`)
			a.refusesWith([]string{"ABUSE_EMPTY="}, a.yaml("log: {level: \"${ABUSE_EMPTY}\"}\n"), `log\.level`) // empty is a value, and not unset
			a.refusesWith([]string{"ABUSE_PORT=canary"}, a.yaml("http: {port: \"${ABUSE_PORT}\"}\n"), `http\.port.*value is not shown`)
			secret := a.file("secret", "canary-file")
			a.refuses(a.file("config.yaml", "storage:\n  rootDirectory: /d\n  storageDriver: {name: s3, bucket: b, accesskey: a, secretkey: canary-key, secretkeyFile: "+secret+"}\n"), `secretkeyFile: gives a secret that secretkey gives too`)
		}},
		{number: "B73", name: "secrets in files", at: once, run: func(a *attack) {
			s3 := func(file string) string {
				return a.file("config.yaml", "storage:\n  rootDirectory: /d\n  storageDriver: {name: s3, region: r, bucket: b, accesskey: a, secretkeyFile: '"+file+"'}\n")
			}
			a.refuses(s3("/nothing/there"), `secretkeyFile: cannot be read: no such file`)
			a.refuses(s3(a.file("empty", "\n")), `secretkeyFile: the file is empty`)
			a.refuses(s3(a.TempDir()), `secretkeyFile: cannot be read: not a regular file`)
			open := a.file("open", "canary-secret\n")
			if err := os.Chmod(open, 0o644); err != nil {
				a.Fatal(err)
			}
			a.warns(s3(open), "0644")
		}},
		{number: "B74", name: "addresses that cannot be listened on", at: once, run: func(a *attack) {
			l, err := (&net.ListenConfig{}).Listen(a.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				a.Fatal(err)
			}
			defer l.Close() //nolint:errcheck // a test's
			_, port, _ := net.SplitHostPort(l.Addr().String())
			a.refuses(a.yaml("http: {address: 127.0.0.1, port: "+port+"}\n"), "listen on 127.0.0.1:"+port, "in use")
			a.refuses(a.yaml("http: {address: 10.0.0.256}\n"), `http\.address: is not an address`)
			a.refuses(a.yaml("http: {address: '[::1'}\n"), `http\.address: is not an address`)
			a.refuses(a.yaml("http: {address: '127.0.0.1:80'}\n"), `http\.address: is not an address`)
			a.refuses(a.yaml("http: {address: 192.0.2.1, port: 0}\n"), `listen on 192\.0\.2\.1`, "assign")
		}},
		{number: "B87", name: "a cache driver that is none", at: once, run: func(a *attack) {
			a.refuses(a.file("config.yaml", "storage: {rootDirectory: /d, cacheDriver: {name: memcached}}\n"), `cacheDriver\.name: is not a driver: got "memcached", want dynamodb or redis`)
			a.refuses(a.file("config.yaml", "storage: {rootDirectory: /d, storageDriver: {name: floppy}}\n"), `storageDriver\.name.*floppy`)
		}},
		{number: "B88", name: "rules that are none", at: once, run: func(a *attack) {
			auth := "http:\n  auth: {htpasswd: {path: " + a.main.htpasswd + "}}\n  accessControl:\n"
			a.refuses(a.yaml(auth+"    repositories:\n      'a/**': {policies: [{users: [alice], actions: [read, wrte]}]}\n"), `wrte`, `want.*read.*create.*update.*delete`)
			a.refuses(a.yaml(auth+"    repositories:\n      'a/[': {policies: [{users: [alice], actions: [read]}]}\n"), `a/\[`)
			// A group that nobody has is a warning: zot's file may have one, which a directory knows.
			a.warns(a.yaml(auth+"    repositories:\n      '**': {policies: [{groups: [nobodys], actions: [read]}]}\n"), `group.*nobodys`)
			a.refuses(a.yaml(auth+"    repositories:\n      '**': {policies: [{users: [alice], actions: [read], conditions: [{expression: 'req.nothing ==', message: no}]}]}\n"), `conditions`)
			a.refuses(a.yaml("http:\n  accessControl:\n    repositories:\n      '**': {policies: [{users: [alice], actions: [read]}]}\n"), `accessControl`) // without a way to be alice
		}},
		{number: "B89", name: "limits that are none", at: once, run: func(a *attack) {
			a.refuses(a.yaml("http: {port: 0, ratelimit: {rate: -1}}\n"), `ratelimit\.rate`)
			a.refuses(a.yaml("http: {port: 0, ratelimit: {methods: [{method: GET, rate: -5}]}}\n"), `ratelimit\.methods`)
			a.refuses(a.yaml("http: {maxBlobSize: -1}\n"), `maxBlobSize: is out of range`)
			a.refuses(a.yaml("http: {maxManifestSize: 1MiB}\n"), `maxManifestSize: is not a key`) // it is the spec's, and cannot be made smaller
		}},
		{number: "B90", name: "a grace that is too short", at: once, run: func(a *attack) {
			// zot's files may have it, and load: it is taken for the shortest that is safe.
			a.warns(a.file("config.yaml", "storage: {rootDirectory: /d, gcDelay: 30m}\n"), `gcDelay.*less than 1h.*taken for 1h`)
			a.refuses(a.file("config.yaml", "storage: {rootDirectory: /d, gcDelay: -1h}\n"), `gcDelay: is negative`)
		}},
		{number: "B91", name: "few descriptors, and a directory that cannot be written", at: once, run: func(a *attack) {
			a.refuses(a.file("config.yaml", "storage: {rootDirectory: /proc/holdfast}\n"), "/proc/holdfast")
			file := a.file("file", "x")
			a.refuses(a.file("config.yaml", "storage: {rootDirectory: "+file+"/below}\n"), "below")
			cfg := a.local()
			var limit syscall.Rlimit
			if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
				a.Fatal(err)
			}
			p := a.serve(a.config(cfg), "HOLDFAST_NOTHING=1")
			if limit.Cur >= 4096 && strings.Contains(p.text(a), "few file descriptors") {
				a.Error("a warning of few descriptors where there are many")
			}
			few := a.script("ulimit -n 1024 && exec "+a.binary+" serve "+a.config(a.local()), "few file descriptors")
			if !few {
				a.Error("1024 descriptors, and no warning")
			}
		}},
		{number: "B92", name: "data of a later version", at: once, run: func(a *attack) { laterFormat(a) }},
	}
}

// script runs a shell's line until its output has what is looked for, ten seconds at most.
func (a *attack) script(line, want string) bool {
	a.Helper()
	p := a.command()
	p.Path, p.Args = "/bin/sh", []string{"sh", "-c", line}
	path := filepath.Join(a.TempDir(), "out")
	out, err := os.Create(path)
	if err != nil {
		a.Fatal(err)
	}
	defer out.Close() //nolint:errcheck // the child has its own descriptor
	p.Stdout, p.Stderr = out, out
	if err := p.Start(); err != nil {
		a.Fatal(err)
	}
	defer func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	}()
	for range 100 {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), want) {
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

// passwordFileRows are password files that an operator has wrong.
func passwordFileRows() []row {
	good := func(a *attack, name string) string { return name + ":" + a.hash + "\n" }
	with := func(path string) string { return "http: {port: 0, auth: {htpasswd: {path: '" + path + "'}}}\n" }
	return []row{
		{number: "B66", name: "lines that are none", at: once, run: func(a *attack) {
			cheap, err := bcrypt.GenerateFromPassword([]byte("canary"), bcrypt.MinCost)
			if err != nil {
				a.Fatal(err)
			}
			dear := "$2y$15$" + a.hash[7:]
			lines := good(a, "alice") + "no colon\n:" + a.hash + "\n" + good(a, "alice") + "bob:{SHA}canarycanarycanary=\ncarl:$apr1$canary$canary\ndave:canary-crypt\neve:" + dear + "\n"
			text := a.refuses(a.yaml(with(a.file("htpasswd", lines))), `http\.auth\.htpasswd`, `line 2: .*colon`, `line 3: .*no name`, `line 4: user "alice" is there twice`,
				`line 5: user "bob": hash type \{SHA\} not allowed`, `line 6: user "carl": .*apr1`, `line 7: user "dave"`, `line 8: user "eve": .*cost of 15`)
			if strings.Contains(text, a.hash[10:]) {
				a.Errorf("a hash is shown: %s", text)
			}
			a.refuses(a.yaml(with(a.file("htpasswd", "\xef\xbb\xbf"+good(a, "alice")))), "byte order mark")
			a.refuses(a.yaml(with(a.file("htpasswd", strings.Repeat("#"+strings.Repeat("x", 1<<20-1), 11)))), "larger than")
			// A carriage return at the end of a line is taken off, and a cheap hash warned of, since htpasswd makes them.
			p := a.serve(a.yaml(with(a.file("htpasswd", "alice:"+string(cheap)+"\r\n"))))
			p.says(a, 40*time.Second, "cost below 10")
			a.at(p.address).ask("", "GET /v2/", basic("alice", "canary")).is(200)
		}},
		{number: "B66", name: "a mistake while it runs", at: once, run: func(a *attack) {
			file := a.file("htpasswd", good(a, "alice"))
			p := a.serve(a.yaml(with(file)))
			if err := os.WriteFile(file, []byte(good(a, "alice")+"bob:{SHA}x\n"), 0o600); err != nil {
				a.Fatal(err)
			}
			p.says(a, 40*time.Second, `password file is refused.*line 2: user .*bob.*\{SHA\}`)
			a.at(p.address).ask("", "GET /v2/", basic("alice", crowdPassword)).is(200)
			a.at(p.address).ask("", "GET /v2/", basic("bob", "x")).is(401)
		}},
		{number: "B67", name: "no file, a directory, and one for everybody", at: once, run: func(a *attack) {
			a.refuses(a.yaml(with("/nothing/htpasswd")), "/nothing/htpasswd", "no such file")
			a.refuses(a.yaml(with(a.TempDir())), "not a file|directory")
			file := a.file("htpasswd", good(a, "alice"))
			if err := os.Chmod(file, 0o644); err != nil {
				a.Fatal(err)
			}
			a.serve(a.yaml(with(file))).says(a, 40*time.Second, "everybody on this machine can read it")
		}},
		{number: "B68", name: "a link that is set to another file, and a file that goes", at: once, run: func(a *attack) {
			dir := a.TempDir()
			for n, name := range []string{"alice", "bob"} {
				sub := filepath.Join(dir, fmt.Sprintf("..v%d", n))
				if err := os.Mkdir(sub, 0o700); err != nil {
					a.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(sub, "htpasswd"), []byte(good(a, name)), 0o600); err != nil {
					a.Fatal(err)
				}
			}
			link := func(n int) {
				next := filepath.Join(dir, "next")
				if err := os.Symlink(fmt.Sprintf("..v%d", n), next); err != nil {
					a.Fatal(err)
				}
				if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
					a.Fatal(err)
				}
			}
			link(0)
			file := filepath.Join(dir, "htpasswd")
			if err := os.Symlink(filepath.Join("..data", "htpasswd"), file); err != nil {
				a.Fatal(err)
			}
			p := a.serve(a.yaml(with(file)))
			b := a.at(p.address)
			b.ask("", "GET /v2/", basic("alice", crowdPassword)).is(200)
			link(1)
			for began := time.Now(); b.stranger().ask("", "GET /v2/", basic("bob", crowdPassword)).Status != 200; time.Sleep(500 * time.Millisecond) {
				if took := time.Since(began); took > 40*time.Second || a.full && took > 7*time.Second {
					a.Fatalf("the other file does not count after %v", took)
				}
			}
			b.stranger().ask("", "GET /v2/", basic("alice", crowdPassword)).is(401)
			if err := os.Remove(file); err != nil {
				a.Fatal(err)
			}
			p.says(a, 40*time.Second, "password file is refused")
			b.ask("", "GET /v2/", basic("bob", crowdPassword)).is(200)
		}},
	}
}
