package requester

import "errors"

// Sentinel kinds of this package's errors. Job-file errors are market.ErrJobFile, which is wrapped as it is.
var (
	// ErrConfig is a configuration that cannot work.
	ErrConfig = errors.New("requester configuration")
	// ErrStore is the database or the job's directory failing, or another process at work on the same job.
	ErrStore = errors.New("requester database")
	// ErrNotFound is a job that is not in the database.
	ErrNotFound = errors.New("no such job")
	// ErrNoOffers is a market that cannot run the job. Nothing was locked.
	ErrNoOffers = errors.New("no offers for this job")
	// ErrNotEnough is a budget or a wallet that does not reach. Nothing was locked.
	ErrNotEnough = errors.New("not enough")
	// ErrDeclined is a plan that the requester's owner did not confirm. Nothing was locked.
	ErrDeclined = errors.New("not confirmed")
	// ErrRefused is a provider that said no, or broke off, before the opening was signed. Nothing was locked.
	ErrRefused = errors.New("refused by a provider")
	// ErrLockExpired is an opening that did not get into the chain in time and never will. Nothing was locked.
	ErrLockExpired = errors.New("the opening expired")
	// ErrCancelled is a job that was cancelled before it was signed. Nothing was locked.
	ErrCancelled = errors.New("cancelled")
	// ErrSigned is a job that is too late to cancel: its opening is signed.
	ErrSigned = errors.New("already signed")
	// ErrJobFailed is a program that failed, or results that do not hold: they are not approved.
	ErrJobFailed = errors.New("job failed")
	// ErrWish is something that cannot be done with a lot any more, or that its terms do not provide for.
	ErrWish = errors.New("too late, or not agreed")
	// ErrRefunded is a job whose providers did not deliver: their prices came back, with penalties.
	ErrRefunded = errors.New("refunded")
)
