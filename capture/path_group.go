package capture

import "strings"

// apiGroups are the parts of the OpenAI API that requests are counted by. Paths
// hold ids and come from clients, so they are no labels themselves.
var apiGroups = [...]string{
	"chat/completions", "responses", "completions", "embeddings", "models", "moderations", "files", "uploads", "batches",
	"images", "audio", "videos", "realtime", "conversations", "assistants", "threads", "vector_stores", "fine_tuning",
	"evals", "containers", "organization",
}

// pathOther counts all paths that are in no group.
const pathOther = "other"

// pathGroup is the label of a passed request's path: "/v1/" and its part of the
// API, whatever stands before and after it.
func pathGroup(to *target, path string) string {
	if to == nil {
		return "refused"
	}
	_, rest, ok := strings.Cut(path, "/v1/")
	if !ok {
		if _, rest, ok = strings.Cut(path, "/openai/deployments/"); ok {
			_, rest, ok = strings.Cut(rest, "/")
		} else {
			_, rest, ok = strings.Cut(path, "/openai/")
		}
	}
	if !ok {
		return pathOther
	}
	for _, g := range apiGroups {
		if tail, ok := strings.CutPrefix(rest, g); ok && (tail == "" || tail[0] == '/') {
			return "/v1/" + g
		}
	}
	return pathOther
}
