package api

import "strings"

// Endpoints are the methods of every endpoint of the API, by its number.
func Endpoints() map[int][]string {
	all := map[int][]string{}
	for e := endpointBase; e.methods() != ""; e++ {
		all[int(e)] = strings.Split(e.methods(), ", ")
	}
	return all
}

// EndpointOf is the number of a path's endpoint.
func EndpointOf(path string) int { return int(parseRoute(path).endpoint) }
