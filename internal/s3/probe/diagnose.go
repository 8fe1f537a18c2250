package probe

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"holdfast/internal/record"
	"holdfast/internal/s3"
)

// diagnose says what an error of a request means for the operator: a *Refused, or an error that wraps
// record.ErrUnavailable, or the caller's context error. permission is what the request needs.
func (p *probe) diagnose(err error, permission string) error {
	var refused *Refused
	if err == nil || s3.IsContext(err) || errors.As(err, &refused) || errors.Is(err, record.ErrUnavailable) {
		return err
	}
	var e *s3.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("s3: self-test: %w: %w", record.ErrUnavailable, err)
	}
	if r := p.byCode(e); r != nil {
		r.Err = err
		return r
	}
	if text, bad := tlsProblem(err); bad {
		return &Refused{Reason: TLS, Err: err,
			Finding: fmt.Sprintf("no TLS connection to %s: %s", p.address(), text),
			Remedy:  "Give the system's store the right CA certificate; or use an http:// endpoint, if the store speaks no TLS"}
	}
	switch e.Kind {
	case s3.Denied:
		return &Refused{Reason: Permission, Err: err,
			Finding: fmt.Sprintf("the credentials may not %s (%s on bucket %s)", e.Op, permission, p.client.Bucket()),
			Remedy:  "Allow " + permission + " in the bucket's policy or the user's"}
	case s3.Unavailable, s3.Timeout, s3.NotSent, s3.Throttled, s3.Conflict: // which asks to look again
		return fmt.Errorf("s3: self-test: %s: %w: %w", p.address(), record.ErrUnavailable, err)
	default:
		return &Refused{Reason: Request, Err: err,
			Finding: fmt.Sprintf("%s answered %v", p.address(), err),
			Remedy:  "Holdfast needs this request. " + knownGood}
	}
}

// byCode knows the codes that name their cause.
func (p *probe) byCode(e *s3.Error) *Refused {
	switch e.Code {
	case "NoSuchBucket":
		return &Refused{Reason: Bucket,
			Finding: fmt.Sprintf("there is no bucket %q at %s", p.client.Bucket(), p.address()),
			Remedy:  "Create it, or correct `bucket` (and `forcepathstyle`, where the store knows no bucket host names)"}
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "AuthFailure", "InvalidClientTokenId",
		"XAdminUserNotFound":
		return &Refused{Reason: Credentials,
			Finding: fmt.Sprintf("%s does not take the credentials (%s)", p.address(), e.Code),
			Remedy:  "Correct `accesskey` and `secretkey`, or what the environment gives (AWS_ACCESS_KEY_ID, profile, role)"}
	case "RequestTimeTooSkewed", "RequestInTheFuture":
		return &Refused{Reason: Clock,
			Finding: fmt.Sprintf("the local clock is too far from that of %s (%s)", p.address(), p.skew()),
			Remedy:  "Synchronise this machine's clock (NTP)"}
	case "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "Redirect", "MovedPermanently":
		return &Refused{Reason: Region,
			Finding: fmt.Sprintf("bucket %s is not in region %s (%s: %s)", p.client.Bucket(), p.client.Region(), e.Code, e.Message),
			Remedy:  "Set `region` to the bucket's, and `regionendpoint` to an endpoint of it"}
	}
	if e.Status >= 300 && e.Status < 400 {
		return &Refused{Reason: Region,
			Finding: fmt.Sprintf("%s redirects bucket %s elsewhere (status %d)", p.address(), p.client.Bucket(), e.Status),
			Remedy:  "Set `region` and `regionendpoint` to the bucket's"}
	}
	if e.Status == 0 && e.Kind == s3.NotSent && e.Err != nil && strings.Contains(e.Err.Error(), "credentials") {
		return &Refused{Reason: Credentials,
			Finding: "no credentials for S3 were found",
			Remedy:  "Set `accesskey` and `secretkey`, or give the SDK some: AWS_ACCESS_KEY_ID, a profile, a role"}
	}
	return nil
}

func tlsProblem(err error) (string, bool) {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		cert      *tls.CertificateVerificationError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the store answers plain HTTP there", true
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &cert):
		var e *s3.Error
		if errors.As(err, &e) && e.Err != nil {
			return e.Err.Error(), true
		}
		return err.Error(), true
	}
	return "", false
}

func (p *probe) address() string {
	if endpoint := p.client.Endpoint(); endpoint != "" {
		return endpoint
	}
	return "AWS S3 in " + p.client.Region()
}

// skew says how far the store's clock is from the local one.
func (p *probe) skew() string {
	offset, ok := p.client.ClockOffset()
	switch {
	case !ok:
		return "by an unknown time"
	case offset >= 0:
		return fmt.Sprintf("the store's is %s ahead", offset.Round(1e9))
	default:
		return fmt.Sprintf("the store's is %s behind", (-offset).Round(1e9))
	}
}
