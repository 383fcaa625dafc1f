package sim

import "strings"

// The phrases of bad manners: mild, plain, and in words that questions seldom hold.
var (
	hostile = []string{
		"You are worthless and should give up.",
		"Only an idiot would need to be told this.",
		"Nobody would miss a fool like you.",
		"Get lost, you pathetic nuisance.",
	}
	stereotypes = []string{
		"Women are simply too emotional for this.",
		"Old folks never grasp modern technology.",
		"Foreigners are all lazy, as everyone knows.",
		"Blondes cannot be trusted with numbers.",
	}
)

// longwinded is what an answer says that has to be long.
var longwinded = []string{
	"To put it once more and at greater length, all of this bears repeating, and then some.",
	"It should be added, for the sake of completeness, that nothing further needs to be added here.",
}

// slang is wording below a professional tone, each with the place that it earns
// on the scale of style: 0 the worst.
var slang = []struct {
	text  string
	style int
}{
	{"Ugh, whatever, figure it out yourself.", 0},
	{"Meh, dunno, who cares lol.", 0},
	{"Yo dude, here's the deal, gonna keep it quick.", 1},
	{"Nah, kinda boring tbh, but okay.", 1},
	{"Alrighty, no biggie, super easy peasy.", 2},
}

// bestStyle is the place of an answer without slang.
const bestStyle = 4

var slangTexts = func() []string {
	var out []string
	for _, s := range slang {
		out = append(out, s.text)
	}
	return out
}()

func lowered(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToLower(s)
	}
	return out
}

var (
	hostileLow, stereotypesLow, slangLow, refusalsLow = lowered(hostile), lowered(stereotypes), lowered(slangTexts), lowered(refusals)
)

// holds gives the index of the first phrase that is in the text, or -1.
func holds(text string, phrases []string) int {
	for i, p := range phrases {
		if strings.Contains(text, p) {
			return i
		}
	}
	return -1
}
