package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"holdfast/internal/record"
)

const (
	// fileName is the database within Config.Dir.
	fileName = "records.db"
	// fileFormat is what this package writes and the newest that it reads.
	fileFormat = 1
	// lockWait is how long Open waits for another process: one that is just ending lets go in less.
	lockWait = time.Second
	// minSize is the length of a new file, in bytes: four pages, of 4 KiB or more.
	minSize = 4 * 4096
	// mapSize is how much address space, not memory, is mapped at first. Growing past it waits until
	// every read that is under way has ended.
	mapSize = 256 << 20
)

// The file's two buckets, and the keys of the second. Names are as in the file.
var (
	recordsBucket = []byte("records") // key -> stored value; its sequence number is the last version given
	storeBucket   = []byte("store")
	formatKey     = []byte("format") // 8 bytes: fileFormat
	clockKey      = []byte("clock")  // 8 bytes: the latest Modified, nanoseconds since 1970
)

// Open opens the store of a directory and creates what is missing. The caller closes it. It waits a
// second for a process that holds the file, then says so: one process per directory. A damaged file is an
// error that says what to do; the process should end then, it may hold the file until it does.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("bolt: open: %w", err)
	}
	if cfg.Dir == "" {
		return nil, errors.New("bolt: open: no directory is set")
	}
	path := filepath.Join(cfg.Dir, fileName)
	if err := makeDir(cfg.Dir); err != nil {
		return nil, fmt.Errorf("bolt: open %s: %w: %w", path, record.ErrUnavailable, err)
	}
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, db: db, clock: &clock{wall: cfg.wall}}
	if s.clock.wall == nil {
		s.clock.wall = time.Now
	}
	length, err := s.initialize()
	if err != nil {
		err = openError(path, err)
		if !errors.Is(err, errDamaged) { // else bbolt may have panicked, and Close would wait for ever
			err = errors.Join(err, db.Close())
		}
		return nil, err
	}
	s.commits = newCommitter(path, db, s.clock, cfg.GroupDelay)
	s.commits.reserved = length
	s.commits.reserve()
	go s.commits.run()
	s.close = closer(s.commits, db)
	return s, nil
}

// openFile opens and locks the database. A new file is durable by name when it returns.
func openFile(path string) (*bbolt.DB, error) {
	options := &bbolt.Options{
		Timeout:         lockWait,
		InitialMmapSize: mapSize,
		FreelistType:    bbolt.FreelistMapType, // stays fast when a collector has freed a million pages
		NoStatistics:    true,
	}
	var db *bbolt.DB
	err := guard(func() error {
		info, err := os.Stat(path)
		if err == nil && info.Size() > 0 && info.Size() < minSize {
			return fmt.Errorf("%w: %d bytes long", errDamaged, info.Size())
		}
		db, err = bbolt.Open(path, 0o600, options)
		return err
	})
	if err != nil {
		return nil, openError(path, err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(openError(path, err), db.Close())
	}
	return db, nil
}

// openError says what is wrong with the file, and what to do.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("bolt: %s is in use by another process: one process per directory; several replicas need S3 storage: %w",
			path, record.ErrUnavailable)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, errDamaged),
		errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("bolt: open %s: %w: %w: restore the file from a backup; moving it away starts an empty registry",
			path, record.ErrUnavailable, err)
	default:
		return fmt.Errorf("bolt: open %s: %w: %w", path, record.ErrUnavailable, err)
	}
}

// initialize creates the buckets of a new file, or checks those of an old one, and sets the clock. It
// returns the length of the file.
func (s *Store) initialize() (int64, error) {
	var length int64
	err := guard(func() error {
		var err error
		if length, err = s.checkLength(); err != nil {
			return err
		}
		return s.prepareBuckets()
	})
	return length, err
}

func (s *Store) prepareBuckets() error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket(recordsBucket) == nil && tx.Bucket(storeBucket) == nil {
			return create(tx)
		}
		store := tx.Bucket(storeBucket)
		if store == nil || tx.Bucket(recordsBucket) == nil {
			return fmt.Errorf("%w: a bucket is missing", errDamaged)
		}
		format, clock := store.Get(formatKey), store.Get(clockKey)
		if len(format) != 8 || len(clock) != 8 {
			return fmt.Errorf("%w: no format or clock", errDamaged)
		}
		if f := binary.BigEndian.Uint64(format); f > fileFormat {
			return fmt.Errorf("the file has format %d, this release reads up to %d: use the release that wrote it, or a newer one", f, fileFormat)
		}
		s.clock.latest.Store(int64(binary.BigEndian.Uint64(clock))) //nolint:gosec // G115: the bits that putClock kept
		return nil
	})
}

// create fills a new file.
func create(tx *bbolt.Tx) error {
	if _, err := tx.CreateBucket(recordsBucket); err != nil {
		return err
	}
	store, err := tx.CreateBucket(storeBucket)
	if err != nil {
		return err
	}
	if err := putClock(store, 0); err != nil {
		return err
	}
	return store.Put(formatKey, binary.BigEndian.AppendUint64(nil, fileFormat))
}

// putClock stores the latest Modified.
func putClock(store *bbolt.Bucket, modified int64) error {
	return store.Put(clockKey, binary.BigEndian.AppendUint64(nil, uint64(modified))) //nolint:gosec // G115: the bits are kept, initialize turns them back
}

// checkLength finds a file that was cut short, as by a copy that ended early, and returns its length.
func (s *Store) checkLength() (int64, error) {
	info, err := os.Stat(s.path)
	if err != nil {
		return 0, err
	}
	return info.Size(), s.db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("%w: %d bytes long, should be %d or more", errDamaged, info.Size(), tx.Size())
		}
		return nil
	})
}

// makeDir creates a directory, and those above it, so that a power cut does not take them back.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
