package journal

import (
	"cmp"
	"slices"
	"strings"
)

// Accounts in the order in which they are shown.
var accountNames = []string{AccountReplay, AccountControl, AccountJudge}

// scopeOfEndpoint and scopeOfSubmodule are the keys, without their day, of budgets inside
// an account; the account's own is its name.
func scopeOfEndpoint(account, name string) string {
	return scopePrefix(account) + "endpoint-" + Escape(name)
}

func scopeOfSubmodule(account, name string) string {
	return scopePrefix(account) + "submodule-" + Escape(name)
}

func scopePrefix(account string) string {
	if account == AccountReplay {
		return ""
	}
	return account + "-"
}

// scopeNames is the inverse of these; empty names for what is no scope.
func scopeNames(scope string) (account, endpoint, submodule string) {
	if slices.Contains(accountNames, scope) {
		return scope, "", ""
	}
	account, rest := AccountReplay, scope
	for _, name := range []string{AccountControl, AccountJudge} {
		if after, ok := strings.CutPrefix(scope, name+"-"); ok {
			account, rest = name, after
		}
	}
	if name, ok := strings.CutPrefix(rest, "endpoint-"); ok {
		return account, Unescape(name), ""
	}
	if name, ok := strings.CutPrefix(rest, "submodule-"); ok {
		return account, "", Unescape(name)
	}
	return "", "", ""
}

// sortBudgets puts accounts in their order, and in each the account itself before its
// endpoints and these before its sub-modules.
func sortBudgets[T any](list []T, of func(*T) *Budget) {
	slices.SortFunc(list, func(x, y T) int {
		a, b := of(&x), of(&y)
		return cmp.Or(
			cmp.Compare(slices.Index(accountNames, a.Account), slices.Index(accountNames, b.Account)),
			cmp.Compare(a.Submodule, b.Submodule), cmp.Compare(a.Endpoint, b.Endpoint))
	})
}
