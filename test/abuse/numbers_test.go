package abuse

// numbers are those of the list of attacks and bad input, in its order.
var numbers = []string{
	"A01", "A02", "A03", "A04", "A05", "A06", "A08", "A09", "A10", "A11", "A13", "A14",
	"A16", "A17", "A18", "A19", "A20", "A21", "A22", "A23", "A24", "A26", "A27", "A29",
	"A30", "A32", "A33", "A34", "A35", "A36", "A37", "A38", "A39", "A40", "A41", "A42",
	"A43", "A44", "A45", "A46", "A48", "A49", "A50", "A51", "A52", "A53", "A54", "A55",
	"A56", "A57", "A58", "A59", "A61", "A62", "A63", "A65", "A66", "A67", "A68", "A69",
	"A70", "A71", "B01", "B02", "B03", "B04", "B05", "B07", "B08", "B09", "B10", "B11",
	"B13", "B14", "B15", "B16", "B17", "B18", "B19", "B20", "B21", "B22", "B23", "B25",
	"B26", "B27", "B28", "B29", "B30", "B31", "B32", "B33", "B34", "B35", "B36", "B37",
	"B38", "B39", "B40", "B41", "B43", "B44", "B45", "B47", "B48", "B49", "B50", "B51",
	"B52", "B53", "B54", "B55", "B56", "B57", "B58", "B59", "B61", "B62", "B64", "B65",
	"B66", "B67", "B68", "B69", "B70", "B71", "B72", "B73", "B74", "B75", "B76", "B77",
	"B78", "B79", "B80", "B84", "B85", "B86", "B87", "B88", "B89", "B90", "B91", "B92",
}

// absent are the numbers that cannot be asked for here, and why.
var absent = map[string]string{
	"A48": "there is no sync and no proxy that would ask another registry",
	"A49": "there is no proxy that would keep what another registry answers",
	"A50": "there is no proxy that would show credentials to another registry",
}
