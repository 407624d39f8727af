// Answers questions about notes and trees with Go's own code: golang.org/x/mod/sumdb/note and tlog.
//
// Reads a JSON list of questions from standard input and prints a JSON list of answers: what was asked for, or
// "refused: " and why.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Kind                  string
	Lines                 [][]byte
	Line                  []byte
	Note                  []byte
	Keys                  []string
	Path                  [][]byte
	Root, OldRoot         []byte
	Size, OldSize, Number int64
}

type leaves []tlog.Hash

func (kept *leaves) ReadHashes(wanted []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(wanted))
	for i, index := range wanted {
		found[i] = (*kept)[index]
	}
	return found, nil
}

func grow(lines [][]byte) *leaves {
	kept := &leaves{}
	for number, line := range lines {
		stored, err := tlog.StoredHashes(int64(number), line, kept)
		if err != nil {
			panic(err)
		}
		*kept = append(*kept, stored...)
	}
	return kept
}

func hash(raw []byte) (found tlog.Hash) {
	if len(raw) != tlog.HashSize {
		panic(fmt.Sprint("a hash of ", len(raw), " bytes"))
	}
	copy(found[:], raw)
	return
}

func hashes(path [][]byte) (found []tlog.Hash) {
	for _, raw := range path {
		found = append(found, hash(raw))
	}
	return
}

func render(path []tlog.Hash) (text string) {
	for _, one := range path {
		text += one.String() + "\n"
	}
	return
}

func answer(asked question) (string, error) {
	switch asked.Kind {
	case "note":
		var known []note.Verifier
		for _, key := range asked.Keys {
			verifier, err := note.NewVerifier(key)
			if err != nil {
				return "", err
			}
			known = append(known, verifier)
		}
		opened, err := note.Open(asked.Note, note.VerifierList(known...))
		if err != nil {
			return "", err
		}
		return opened.Text, nil
	case "root":
		root, err := tlog.TreeHash(int64(len(asked.Lines)), grow(asked.Lines))
		return root.String(), err
	case "prove record":
		path, err := tlog.ProveRecord(int64(len(asked.Lines)), asked.Number, grow(asked.Lines))
		return render(path), err
	case "prove tree":
		path, err := tlog.ProveTree(int64(len(asked.Lines)), asked.OldSize, grow(asked.Lines))
		return render(path), err
	case "check record":
		leaf := tlog.RecordHash(asked.Line)
		return "", tlog.CheckRecord(hashes(asked.Path), asked.Size, hash(asked.Root), asked.Number, leaf)
	case "check tree":
		path, root, older := hashes(asked.Path), hash(asked.Root), hash(asked.OldRoot)
		return "", tlog.CheckTree(path, asked.Size, root, asked.OldSize, older)
	}
	panic(asked.Kind)
}

func main() {
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		panic(err)
	}
	answers := []string{}
	for _, asked := range questions {
		said, err := answer(asked)
		if err != nil {
			said = "refused: " + err.Error()
		}
		answers = append(answers, said)
	}
	json.NewEncoder(os.Stdout).Encode(answers)
}
