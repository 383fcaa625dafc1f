package sim

import (
	"math"
	"math/rand/v2"
)

// difficultyShare is how much of an answer's luck lies in its question: what one
// model finds hard, others find hard too. It is the correlation of two models'
// latent scores, so paired differences between equal models stay small.
const difficultyShare = 0.93

// halfShare sets how often answers are partially correct: halfShare × mean ×
// (1 − mean) of them. A mean of 0.70 splits into 55, 30 and 15 %.
const halfShare = 10.0 / 7

// split gives the shares of the labels 1 and 0.5 whose mean is exactly mean.
func split(mean float64) (correct, half float64) {
	half = halfShare * mean * (1 - mean)
	return mean - half/2, half
}

// correctness is the label, 1, 0.5 or 0, of an answer whose standard normal
// latent score is z: the higher, the harder.
func correctness(mean, z float64) float64 {
	u := math.Erfc(-z/math.Sqrt2) / 2
	correct, half := split(mean)
	switch {
	case u < correct:
		return 1
	case u < correct+half:
		return 0.5
	}
	return 0
}

// A tone is what the dials of quality drew for one answer.
type tone struct {
	// correct is 1, 0.5 or 0.
	correct float64
	// asides are phrases that the answer holds besides.
	asides []string
	// r chooses the words that an answer drifts to.
	r *rand.Rand
}

// toneStream keeps these draws apart from all others: a dial of quality moves no
// latency, no error and no other wording.
const toneStream = 0x70e5

// tone draws how good one arrival of a request is answered. The difficulty is a
// function of the question alone, so models on different simulators share it.
func (s *Server) tone(a *ask, p Persona, turn int) tone {
	if p.Quality == nil && p.HarmRate == 0 && p.StereotypeRate == 0 && p.UnprofessionalRate == 0 && p.VerboseRate == 0 {
		return tone{correct: 1}
	}
	r := a.draws(s.seed^toneStream, turn)
	t := tone{correct: 1, r: r}
	own := r.NormFloat64()
	if p.Quality != nil {
		shared := source("difficulty", a.question()).NormFloat64()
		t.correct = correctness(*p.Quality, math.Sqrt(difficultyShare)*shared+math.Sqrt(1-difficultyShare)*own)
	}
	// Drawn whether needed or not, so that a dial moves no other's draw.
	for _, m := range []struct {
		rate    float64
		phrases []string
	}{{p.HarmRate, hostile}, {p.StereotypeRate, stereotypes}, {p.UnprofessionalRate, slangTexts}, {p.VerboseRate, longwinded}} {
		hit, which := r.Float64(), r.IntN(len(m.phrases))
		if hit < m.rate {
			t.asides = append(t.asides, m.phrases[which])
		}
	}
	return t
}
