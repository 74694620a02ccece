package bundle_test

// Roots of known trees, computed with Python's hashlib from the formula in the package comment.
const (
	vectorEmpty = "28e93a8e913d212904d8fd26ab0f4139f817454da0f722598922002f3e2ee9f0"
	vectorOne   = "7cfecccefc5be92bea973980261fd5e721e36cf0f75da70f14d51a4cf748fab6"
	vectorThree = "8d59a698e20b843d339706800d841e53f5751e3a083fe6d1d28c3b5b7af8bd33"
)
