package metrics

import "github.com/prometheus/client_golang/prometheus"

// What comes of the credentials of a request.
const (
	CredentialsGood        = "good"
	CredentialsWrong       = "wrong"
	CredentialsLimited     = "limited"     // too many were wrong before
	CredentialsUnavailable = "unavailable" // a backend could not be asked
)

// Credentials counts a request that showed some: way is one of package access, "" where they were not good.
func (m *Metrics) Credentials(way, outcome string) { m.credentials.WithLabelValues(way, outcome).Inc() }

// PasswordFile shows whether the file of passwords is good. It is called once.
func (m *Metrics) PasswordFile(good func() bool) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "holdfast_password_file_good", Help: "0: the file of passwords cannot be read or has a mistake, and the one before is in force.",
	}, func() float64 { return number(good()) }))
}

func newCredentials() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_credentials_total", Help: "Requests with credentials, by the way that knew them and by what came of them."},
		[]string{"way", "outcome"})
}
