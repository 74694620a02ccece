package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"
)

// Kinds of failure before the node is ready.
var (
	ErrSettings = errors.New("unusable settings") // a value no node can run with
	ErrMismatch = errors.New("the directory holds another chain")
	ErrInUse    = errors.New("the directory is in use")
	ErrStalled  = errors.New("the chain does not advance") // no block in time after the start
)

const (
	settingsFile = "devnet.json"
	settingsMade = 1 // the version of devnet.json this program writes
)

// Settings are the facts a chain is built from. They are recorded in DIR/devnet.json when the chain is made and never
// change afterwards, except SystemStart (see [Settings.resume]).
type Settings struct {
	Version            int               `json:"version"`
	Magic              uint32            `json:"magic"`
	SlotLengthMS       uint64            `json:"slot_length_ms"`
	EpochLength        uint64            `json:"epoch_length"` // slots
	ProtocolMajor      uint              `json:"protocol_major"`
	Producers          int               `json:"producers,omitempty"` // 0: one
	Params             map[string]string `json:"params,omitempty"`    // protocol parameters other than mainnet's
	Funds              map[string]uint64 `json:"funds"`               // hex of the address bytes → lovelace
	SystemStart        time.Time         `json:"system_start"`
	ShelleyGenesisHash string            `json:"shelley_genesis_hash"` // hex; fixed when the chain is made
}

// Wanted are the settings asked for on the command line. A nil field was not asked for.
type Wanted struct {
	Magic         *uint32
	SlotLength    *time.Duration
	EpochLength   *uint64
	ProtocolMajor *uint
	Producers     *int
	Params        map[string]string
	Funds         map[string]uint64
}

// Defaults of a new chain.
const (
	DefaultMagic         = 42
	DefaultSlotLength    = 200 * time.Millisecond
	DefaultEpochLength   = 6000 // slots: 20 minutes of the default slot length
	DefaultProtocolMajor = 10

	maxProtocolMajor = 11 // the last of the Conway era
)

// SlotLength is the length of a slot.
func (s Settings) SlotLength() time.Duration {
	return time.Duration(s.SlotLengthMS) * time.Millisecond
}

// StartBound is how long a start may take up to its first block: three minutes, as a start takes two seconds of a free
// machine and half a minute of a busy one, and beside them the leader schedule (0.15 ms a slot of the epoch) and ten slots.
func (s Settings) StartBound() time.Duration {
	return 3*time.Minute + time.Duration(s.EpochLength)*time.Millisecond + 10*s.SlotLength()
}

// Open reads the settings recorded in dir and compares them with those wanted, or makes new ones at now. It writes
// nothing; made says that the chain is new.
func Open(dir string, w Wanted, now time.Time) (s Settings, made bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, settingsFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, dbDir)); err == nil {
			return s, false, fmt.Errorf("%w: %s holds a database but no %s", ErrMismatch, dir, settingsFile)
		}
		s, err = create(w, now)
		return s, true, err
	}
	if err != nil {
		return s, false, fmt.Errorf("read settings: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, false, fmt.Errorf("read %s: %w", filepath.Join(dir, settingsFile), err)
	}
	if s.Version != settingsMade {
		return s, false, fmt.Errorf("%w: %s is of version %d, this program writes %d", ErrMismatch, settingsFile, s.Version, settingsMade)
	}
	return s, false, s.agree(w)
}

func create(w Wanted, now time.Time) (Settings, error) {
	s := Settings{
		Version:       settingsMade,
		Magic:         DefaultMagic,
		SlotLengthMS:  uint64(DefaultSlotLength / time.Millisecond),
		EpochLength:   DefaultEpochLength,
		ProtocolMajor: DefaultProtocolMajor,
		Funds:         map[string]uint64{},
		SystemStart:   now.UTC().Truncate(time.Second),
	}
	if w.Magic != nil {
		s.Magic = *w.Magic
	}
	if w.SlotLength != nil {
		s.SlotLengthMS = uint64(*w.SlotLength / time.Millisecond)
		if *w.SlotLength%time.Millisecond != 0 {
			return s, fmt.Errorf("%w: a slot is a whole number of milliseconds, not %s", ErrSettings, *w.SlotLength)
		}
	}
	if w.EpochLength != nil {
		s.EpochLength = *w.EpochLength
	}
	if w.ProtocolMajor != nil {
		s.ProtocolMajor = *w.ProtocolMajor
	}
	if w.Producers != nil {
		s.Producers = *w.Producers
	}
	s.Params = maps.Clone(w.Params)
	maps.Copy(s.Funds, w.Funds)
	switch {
	case s.Magic == 0 || s.Magic == mainnetMagic:
		return s, fmt.Errorf("%w: network magic %d", ErrSettings, s.Magic)
	case s.SlotLengthMS < 50 || s.SlotLengthMS > 60_000:
		return s, fmt.Errorf("%w: a slot lasts from 50ms to 1m, not %s", ErrSettings, s.SlotLength())
	case s.EpochLength < 50 || s.EpochLength > 432_000:
		return s, fmt.Errorf("%w: an epoch has from 50 to 432000 slots, not %d", ErrSettings, s.EpochLength)
	case s.ProtocolMajor < 9 || s.ProtocolMajor > maxProtocolMajor:
		return s, fmt.Errorf("%w: Conway runs at protocol major 9, 10 or 11, not %d", ErrSettings, s.ProtocolMajor)
	case w.Producers != nil && (s.Producers < 1 || s.Producers > MaxProducers):
		return s, fmt.Errorf("%w: 1 or %d block producers, not %d", ErrSettings, MaxProducers, s.Producers)
	}
	return s, checkParams(s.Params)
}

// agree says which wanted setting differs from the recorded one.
func (s Settings) agree(w Wanted) error {
	differ := func(flag string, recorded, wanted any) error {
		return fmt.Errorf("%w: its --%s is %v, not %v", ErrMismatch, flag, recorded, wanted)
	}
	switch {
	case w.Magic != nil && *w.Magic != s.Magic:
		return differ("magic", s.Magic, *w.Magic)
	case w.SlotLength != nil && *w.SlotLength != s.SlotLength():
		return differ("slot-length", s.SlotLength(), *w.SlotLength)
	case w.EpochLength != nil && *w.EpochLength != s.EpochLength:
		return differ("epoch-length", s.EpochLength, *w.EpochLength)
	case w.ProtocolMajor != nil && *w.ProtocolMajor != s.ProtocolMajor:
		return differ("protocol-major", s.ProtocolMajor, *w.ProtocolMajor)
	case w.Producers != nil && *w.Producers != max(s.Producers, 1):
		return differ("producers", max(s.Producers, 1), *w.Producers)
	case len(w.Params) > 0 && !maps.Equal(w.Params, s.Params):
		return fmt.Errorf("%w: its protocol parameters differ from those given", ErrMismatch)
	case w.Funds != nil && !maps.Equal(w.Funds, s.Funds):
		return fmt.Errorf("%w: its genesis funds differ from those given", ErrMismatch)
	}
	return nil
}

// resume returns the settings to run with when the last block is at slot tip (0: none). The node cannot forge across a
// gap of an epoch or more, for no block gave the skipped epochs their nonces. Such a stop is taken out of the chain's
// time: SystemStart moves so that the present is the slot after the tip, under the recorded Shelley genesis hash. A slot
// then stands for another moment than it did before the stop, which is why whoever needs times keeps times, not slots.
func (s Settings) resume(tip uint64, now time.Time) Settings {
	slot := s.SlotLength()
	elapsed := now.Sub(s.SystemStart) / slot
	if elapsed >= 0 && uint64(elapsed) < tip+s.EpochLength/2 {
		return s
	}
	s.SystemStart = now.Add(-time.Duration(tip+1) * slot).UTC().Truncate(time.Second)
	return s
}

// write records the settings in dir, whole or not at all.
func (s Settings) write(dir string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	f, err := os.CreateTemp(dir, settingsFile+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, settingsFile))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write settings: %w", err), os.Remove(f.Name()))
	}
	return nil
}
