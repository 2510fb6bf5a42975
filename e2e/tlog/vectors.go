// Test vectors of an independent implementation, golang.org/x/mod/sumdb (tlog and note), for
// base/tlog; and its word on what base/tlog made.
//
//	go run vectors.go write DIR   writes theirs.txt, checkpoint.note and theirs.tlog-proof
//	go run vectors.go check DIR   verifies ours.note and ours.tlog-proof, as checked in
//
// The module comes from Debian's golang-golang-x-mod-dev; run it by vectors.sh. x/mod knows neither
// cosignatures nor the paths and files of C2SP: cosignature() and checkProof() below are written from
// the specifications with nothing but Go's own Ed25519.
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	origin   = "log.example/audit"
	size     = 70000 // leaves; tiles of three levels, all of them partial
	signedAt = 1750000000
	proved   = 69999 // the record of the proof files
)

var b64 = base64.StdEncoding

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func record(n int64) []byte { return []byte(fmt.Sprintf("record %d", n)) }

type store []tlog.Hash

func (s *store) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = (*s)[x]
	}
	return out, nil
}

func grow(n int64) *store {
	s := &store{}
	for i := int64(0); i < n; i++ {
		hashes, err := tlog.StoredHashes(i, record(i), s)
		must(err)
		*s = append(*s, hashes...)
	}
	return s
}

func root(s *store, n int64) tlog.Hash {
	h, err := tlog.TreeHash(n, s)
	must(err)
	return h
}

// The path of C2SP tlog-tiles: x/mod's without the height.
func path(t tlog.Tile) string { return strings.Replace(t.Path(), "tile/8/", "tile/", 1) }

func join(hashes []tlog.Hash) string {
	var b strings.Builder
	for _, h := range hashes {
		b.WriteString(" " + h.String())
	}
	return b.String()
}

func seed(name string) []byte {
	h := sha256.Sum256([]byte("test key of " + name))
	return h[:]
}

func keyID(name string, kind byte, key []byte) uint32 {
	h := sha256.Sum256(append([]byte(name+"\n"+string([]byte{kind})), key...))
	return binary.BigEndian.Uint32(h[:])
}

func public(name string) []byte {
	return ed25519.NewKeyFromSeed(seed(name)).Public().(ed25519.PublicKey)
}

func vkey(name string, kind byte) string {
	key := public(name)
	return fmt.Sprintf("%s+%08x+%s", name, keyID(name, kind, key), b64.EncodeToString(append([]byte{kind}, key...)))
}

// x/mod's own signer of a key whose seed is fixed.
func signer(name string) note.Signer {
	s, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, keyID(name, 1, public(name)),
		b64.EncodeToString(append([]byte{1}, seed(name)...))))
	must(err)
	return s
}

// A witness: tlog-cosignature, cosignature/v1.
type cosigner struct{ name string }

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return keyID(c.name, 4, public(c.name)) }
func (c cosigner) message(text []byte, time uint64) []byte {
	return append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", time)), text...)
}
func (c cosigner) Sign(text []byte) ([]byte, error) {
	s := ed25519.Sign(ed25519.NewKeyFromSeed(seed(c.name)), c.message(text, signedAt))
	return append(binary.BigEndian.AppendUint64(nil, signedAt), s...), nil
}
func (c cosigner) Verify(text, sig []byte) bool {
	return len(sig) == 72 && ed25519.Verify(public(c.name),
		c.message(text, binary.BigEndian.Uint64(sig)), sig[8:])
}

func proofFile(index int64, extra string, proof []tlog.Hash, checkpoint []byte) string {
	s := "c2sp.org/tlog-proof@v1\n"
	if extra != "" {
		s += "extra " + b64.EncodeToString([]byte(extra)) + "\n"
	}
	s += fmt.Sprintf("index %d\n", index)
	for _, h := range proof {
		s += h.String() + "\n"
	}
	return s + "\n" + string(checkpoint)
}

func writeTree(out *strings.Builder, s *store) {
	small := []int64{}
	for n := int64(1); n <= 17; n++ {
		small = append(small, n)
	}
	for _, n := range append(small, 31, 32, 33, 255, 256, 257, 511, 512, 513, 65535, 65536, 65537, 66000, size) {
		fmt.Fprintf(out, "root %d %s\n", n, root(s, n))
		at := map[int64]bool{0: true, n / 3: true, n / 2: true, n - 1: true}
		for i := int64(0); i < n; i++ {
			if n > 17 && !at[i] {
				continue
			}
			p, err := tlog.ProveRecord(n, i, s)
			must(err)
			fmt.Fprintf(out, "inclusion %d %d%s\n", n, i, join(p))
			t, err := tlog.ProveTree(n, i+1, s)
			must(err)
			fmt.Fprintf(out, "consistency %d %d%s\n", n, i+1, join(t))
		}
	}
}

// The tiles that a change of size makes. This version of x/mod lists every width of a partial tile on
// the way, and tiles that are as they were; kept is the widest of each, where it grew.
func newTiles(before, after int64) []tlog.Tile {
	var out []tlog.Tile
	for _, t := range tlog.NewTiles(8, before, after) {
		if before>>(8*t.L) == after>>(8*t.L) {
			continue
		}
		if k := len(out); k > 0 && out[k-1].L == t.L && out[k-1].N == t.N {
			out = out[:k-1]
		}
		out = append(out, t)
	}
	return out
}

func writeTiles(out *strings.Builder, s *store) {
	for _, c := range [][2]int64{{0, 1}, {0, 256}, {1, 255}, {255, 256}, {256, 257}, {250, 600}, {65530, 65536},
		{65536, 65537}, {0, 700}, {69000, 70000}, {65280, 70000}, {70000, 70000}} {
		fmt.Fprintf(out, "tiles %d %d", c[0], c[1])
		for _, t := range newTiles(c[0], c[1]) {
			fmt.Fprintf(out, " %s", path(t))
		}
		fmt.Fprintln(out)
	}
	for _, t := range newTiles(0, size) {
		if t.L == 0 && t.N%50 != 0 && t.W == 256 {
			continue
		}
		data, err := tlog.ReadTileData(t, s)
		must(err)
		fmt.Fprintf(out, "tile %s %x\n", path(t), sha256.Sum256(data))
	}
	for _, n := range []int64{0, 5, 999, 1000, 1234067, 999999, 1000000, 4503599627370495} {
		for _, w := range []int{1, 17, 255, 256} {
			t := tlog.Tile{H: 8, L: 0, N: n, W: w}
			fmt.Fprintf(out, "path 0 %d %d %s\n", n, w, path(t))
			t.L = -1
			fmt.Fprintf(out, "path -1 %d %d %s\n", n, w, strings.Replace(path(t), "tile/data/", "tile/entries/", 1))
		}
	}
}

func write(dir string) {
	s := grow(size)
	var out strings.Builder
	writeTree(&out, s)
	writeTiles(&out, s)
	for _, name := range []string{origin, "next." + origin, "unknown.example"} {
		fmt.Fprintf(&out, "key %s %s\n", name, vkey(name, 1))
	}
	for _, name := range []string{"w1.example", "w2.example"} {
		fmt.Fprintf(&out, "key %s %s\n", name, vkey(name, 4))
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, size, root(s, size))
	signed, err := note.Sign(&note.Note{Text: text}, signer(origin), signer("next."+origin),
		cosigner{"w1.example"}, cosigner{"w2.example"}, signer("unknown.example"))
	must(err)
	p, err := tlog.ProveRecord(size, proved, s)
	must(err)
	must(os.WriteFile(filepath.Join(dir, "theirs.txt"), []byte(out.String()), 0o644))
	must(os.WriteFile(filepath.Join(dir, "checkpoint.note"), signed, 0o644))
	must(os.WriteFile(filepath.Join(dir, "theirs.tlog-proof"),
		[]byte(proofFile(proved, "said beside", p, signed)), 0o644))
}

// Opens a checkpoint with x/mod's note; every key we know must have signed it.
func checkNote(signed []byte) (int64, tlog.Hash) {
	v1, err := note.NewVerifier(vkey(origin, 1))
	must(err)
	v2, err := note.NewVerifier(vkey("next."+origin, 1))
	must(err)
	n, err := note.Open(signed, note.VerifierList(v1, v2, cosigner{"w1.example"}, cosigner{"w2.example"}))
	must(err)
	if len(n.Sigs) != 4 {
		log.Fatalf("%d of 4 signatures verified", len(n.Sigs))
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != origin {
		log.Fatalf("not our checkpoint: %q", n.Text)
	}
	treeSize, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	h, err := tlog.ParseHash(lines[2])
	must(err)
	return treeSize, h
}

func checkProof(file string) {
	head, signed, found := strings.Cut(file, "\n\n")
	if !found {
		log.Fatal("no checkpoint in the proof")
	}
	treeSize, h := checkNote([]byte(signed))
	lines := strings.Split(head, "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") {
		log.Fatalf("not our proof: %q", lines[:2])
	}
	var index int64
	_, err := fmt.Sscanf(lines[2], "index %d", &index)
	must(err)
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		p, err := tlog.ParseHash(line)
		must(err)
		proof = append(proof, p)
	}
	must(tlog.CheckRecord(proof, treeSize, h, index, tlog.RecordHash(record(index))))
	fmt.Printf("record %d of %d: included, and all four keys signed\n", index, treeSize)
}

// PROOFS lines of ours.txt: "inclusion SIZE INDEX hashes", "consistency SIZE BEFORE hashes".
func checkLines(text string) {
	s := grow(size)
	count := 0
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		f := strings.Fields(line)
		n, err := strconv.ParseInt(f[1], 10, 64)
		must(err)
		m, err := strconv.ParseInt(f[2], 10, 64)
		must(err)
		var hashes []tlog.Hash
		for _, x := range f[3:] {
			h, err := tlog.ParseHash(x)
			must(err)
			hashes = append(hashes, h)
		}
		switch f[0] {
		case "inclusion":
			must(tlog.CheckRecord(hashes, n, root(s, n), m, tlog.RecordHash(record(m))))
		case "consistency":
			must(tlog.CheckTree(hashes, n, root(s, n), m, root(s, m)))
		default:
			log.Fatalf("unknown line %q", line)
		}
		count++
	}
	fmt.Printf("%d proofs are right\n", count)
}

func read(dir, name string) []byte {
	data, err := os.ReadFile(filepath.Join(dir, name))
	must(err)
	return data
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "write" {
		write(os.Args[2])
	} else if len(os.Args) == 3 && os.Args[1] == "check" {
		checkLines(string(read(os.Args[2], "ours.txt")))
		_, _ = checkNote(read(os.Args[2], "ours.note"))
		checkProof(string(read(os.Args[2], "ours.tlog-proof")))
	} else {
		log.Fatal("usage: vectors.sh write|check DIR")
	}
}
