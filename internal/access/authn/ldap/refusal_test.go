package ldap

import (
	"errors"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"
)

// TestRefusal: only what says that a password or an account is not good is a refusal.
func TestRefusal(t *testing.T) {
	for code, want := range map[uint16]bool{
		goldap.LDAPResultInvalidCredentials: true, goldap.LDAPResultUnwillingToPerform: true, goldap.LDAPResultConstraintViolation: true, goldap.LDAPResultInappropriateAuthentication: true,
		goldap.LDAPResultBusy: false, goldap.LDAPResultUnavailable: false, goldap.LDAPResultOther: false, goldap.LDAPResultOperationsError: false, goldap.LDAPResultReferral: false,
		goldap.LDAPResultTimeLimitExceeded: false, goldap.LDAPResultConfidentialityRequired: false, goldap.LDAPResultStrongAuthRequired: false, goldap.ErrorNetwork: false, goldap.LDAPResultSuccess: false,
	} {
		if got := isRefusal(goldap.NewError(code, errors.New("test"))); got != want {
			t.Errorf("%d: %t", code, got)
		}
	}
	if isRefusal(errors.New("test")) {
		t.Error("an error that is not the directory's")
	}
}
