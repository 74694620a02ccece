package market

import "fmt"

// Message is what goes over a stream: one of the types named in Decode.
type Message interface{ document }

// MaxMessageBytes is the size of the largest message with its frame.
const MaxMessageBytes = 1<<20 + 64

// Signed is a signed document on its way: bytes for OpenOffer, OpenQuote, OpenResult or OpenReceipt, as What says.
type Signed struct {
	What string `json:"what"`
	Data []byte `json:"data"`
}

// What a Signed holds.
const (
	SignedOffer   = "offer"
	SignedQuote   = "quote"
	SignedResult  = "result"
	SignedReceipt = "receipt"
)

func (s Signed) limit() int { return Receipt{}.limit() + sealOverhead + 64 }

// Validate checks that s says what it is.
func (s Signed) Validate() error {
	switch s.What {
	case SignedOffer, SignedQuote, SignedResult, SignedReceipt:
	default:
		return malformed("signed %.32q", s.What)
	}
	if len(s.Data) == 0 {
		return malformed("signed %s: empty", s.What)
	}
	return nil
}

// frame is a message and the name of its type.
type frame struct {
	Kind string `json:"kind"`
	Body []byte `json:"body"`
}

func (f frame) limit() int { return MaxMessageBytes }

// Validate has nothing to check: Decode looks at the kind.
func (f frame) Validate() error { return nil }

// Encode writes m so that Decode can read it.
func Encode(m Message) ([]byte, error) {
	kind := kindOf(m)
	if kind == "" {
		return nil, malformed("%T is no message", m)
	}
	body, err := encode(m)
	if err != nil {
		return nil, err
	}
	return encode(frame{kind, body})
}

// Decode reads a message and checks its form. It is one of: QuoteRequest, Refusal, TermsProposal, Witness, Release,
// Locked, Ack, StatusRequest, JobStatus, ResultRequest, Signed, VerdictRequest, Opinion, Voucher, LeaveInvitation, LeaveWish,
// LeaveProposal. Errors: ErrTooLarge, ErrMalformed, ErrOtherNetwork.
func Decode(data []byte) (Message, error) {
	f, err := decode[frame](data)
	if err != nil {
		return nil, err
	}
	switch f.Kind {
	case "quote-request":
		return decodeAs[QuoteRequest](f.Body)
	case "refusal":
		return decodeAs[Refusal](f.Body)
	case "terms-proposal":
		return decodeAs[TermsProposal](f.Body)
	case "witness":
		return decodeAs[Witness](f.Body)
	case "release":
		return decodeAs[Release](f.Body)
	case "locked":
		return decodeAs[Locked](f.Body)
	case "ack":
		return decodeAs[Ack](f.Body)
	case "status-request":
		return decodeAs[StatusRequest](f.Body)
	case "status":
		return decodeAs[JobStatus](f.Body)
	case "result-request":
		return decodeAs[ResultRequest](f.Body)
	case "signed":
		return decodeAs[Signed](f.Body)
	case "verdict-request":
		return decodeAs[VerdictRequest](f.Body)
	case "voucher":
		return decodeAs[Voucher](f.Body)
	case "opinion":
		return decodeAs[Opinion](f.Body)
	case "leave-invitation":
		return decodeAs[LeaveInvitation](f.Body)
	case "leave-wish":
		return decodeAs[LeaveWish](f.Body)
	case "leave-proposal":
		return decodeAs[LeaveProposal](f.Body)
	}
	return nil, fmt.Errorf("message of kind %.32q: %w", f.Kind, ErrMalformed)
}

func decodeAs[M Message](body []byte) (Message, error) {
	m, err := decode[M](body)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func kindOf(m Message) string {
	switch m.(type) {
	case QuoteRequest:
		return "quote-request"
	case Refusal:
		return "refusal"
	case TermsProposal:
		return "terms-proposal"
	case Witness:
		return "witness"
	case Release:
		return "release"
	case Locked:
		return "locked"
	case Ack:
		return "ack"
	case StatusRequest:
		return "status-request"
	case JobStatus:
		return "status"
	case ResultRequest:
		return "result-request"
	case Signed:
		return "signed"
	case VerdictRequest:
		return "verdict-request"
	case Voucher:
		return "voucher"
	case Opinion:
		return "opinion"
	case LeaveInvitation:
		return "leave-invitation"
	case LeaveWish:
		return "leave-wish"
	case LeaveProposal:
		return "leave-proposal"
	}
	return ""
}
